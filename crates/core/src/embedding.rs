//! Embeddings as the APIs of models return them, in a JSON array: each an array of numbers, the text of a vector such as
//! `"[1, 2.5]"`, or little-endian 32-bit floats in base64.

mod base64;
#[cfg(test)]
mod tests;

use crate::jsonb::{Array, Value};
use crate::{Error, Interrupt};

/// Reads embeddings from the bytes of a jsonb array, which Postgres keeps after the length. The numbers are finite, and each is the
/// float that is nearest to what was written.
///
/// # Errors
/// [`Error::NotAVector`] if one is something else. [`Error::NotAnArray`] if the bytes are not those of a jsonb array.
pub fn embeddings(jsonb: &[u8], interrupt: Interrupt) -> Result<Vec<Vec<f32>>, Error> {
    let array = Array::of_jsonb(jsonb).ok_or(Error::NotAnArray)?;
    let mut read = Vec::new();
    for (value, place) in array.values().zip(1..) {
        interrupt.check();
        let vector =
            numbers(value.ok_or(Error::NotAnArray)?).map_err(|reason| Error::NotAVector { place, reason })?;
        read.push(vector);
    }
    Ok(read)
}

fn numbers(embedding: Value) -> Result<Vec<f32>, &'static str> {
    match embedding {
        Value::Array(array) => array
            .values()
            .map(|value| match value {
                Some(Value::Number(number)) => finite(number.to_f32()),
                _ => Err("It has something that is not a number."),
            })
            .collect(),
        Value::String(text) => match text.trim_ascii().strip_prefix(b"[") {
            Some(rest) => of_text(rest),
            None => of_base64(text),
        },
        _ => Err("It is neither an array nor a string."),
    }
}

fn finite(number: Option<f32>) -> Result<f32, &'static str> {
    match number {
        Some(number) if number.is_finite() => Ok(number),
        Some(_) => Err("It has a number beyond the range of a 32-bit float."),
        None => Err("It has something that is not a number."),
    }
}

/// Reads the text of a vector, after the first bracket.
fn of_text(text: &[u8]) -> Result<Vec<f32>, &'static str> {
    let numbers = text
        .strip_suffix(b"]")
        .ok_or("It is a text that does not end with a bracket.")?;
    let number = |text: &[u8]| std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok();
    numbers
        .split(|&byte| byte == b',')
        .map(|text| finite(number(text)))
        .collect()
}

fn of_base64(text: &[u8]) -> Result<Vec<f32>, &'static str> {
    let bytes = base64::decode(text).ok_or("It is a string, but neither the text of a vector nor base64.")?;
    let (floats, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err("It is base64 of a number of bytes that is not a multiple of four.");
    }
    floats
        .iter()
        .map(|&float| finite(Some(f32::from_le_bytes(float))))
        .collect()
}
