//! Reads the bytes of a jsonb value, as `src/include/utils/jsonb.h` of Postgres describes them, and of the numerics in it, as
//! `src/backend/utils/adt/numeric.c` does. Bytes that are something else give nothing, and no panic.

#[cfg(test)]
pub(crate) mod tests;

use serde_json::{Map, Value as Json};
use std::str::FromStr;

/// Of the header of a container: how many values it has, and what it is.
const COUNT: u32 = 0x0fff_ffff;
const KIND: u32 = 0xf000_0000;
const IS_ARRAY: u32 = 0x4000_0000;
const IS_OBJECT: u32 = 0x2000_0000;
/// Of an entry: a length, or the offset of the end; which of them; and what the value is.
const LENGTH_OR_END: u32 = 0x0fff_ffff;
const HAS_END: u32 = 0x8000_0000;
const TYPE: u32 = 0x7000_0000;

pub(crate) enum Value<'a> {
    String(&'a [u8]),
    Number(Number<'a>),
    Array(Array<'a>),
    Object(Array<'a>),
    Bool(bool),
    Other,
}

/// A number, as a numeric after its length.
pub(crate) struct Number<'a>(&'a [u8]);

/// The values of an array; or the keys of an object, and then its values.
#[derive(Clone, Copy)]
pub(crate) struct Array<'a> {
    entries: &'a [[u8; 4]],
    data: &'a [u8],
}

impl<'a> Array<'a> {
    /// An array from the bytes of a jsonb value after its length. Not a scalar, which is kept as an array of one.
    pub(crate) fn of_jsonb(bytes: &'a [u8]) -> Option<Self> {
        Self::of_kind(IS_ARRAY, 1, bytes)
    }

    /// The keys and values of an object.
    fn of_object(bytes: &'a [u8]) -> Option<Self> {
        Self::of_kind(IS_OBJECT, 2, bytes)
    }

    fn of_kind(kind: u32, entries: usize, bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk()?;
        let header = u32::from_ne_bytes(*header);
        if header & KIND != kind {
            return None;
        }
        let (words, _) = rest.as_chunks::<4>();
        let count = (header & COUNT) as usize * entries;
        Some(Array {
            entries: words.get(..count)?,
            data: &rest[count * 4..],
        })
    }

    /// The values in order; nothing in place of one whose bytes are damaged.
    pub(crate) fn values(self) -> impl Iterator<Item = Option<Value<'a>>> {
        let mut start = 0;
        self.entries.iter().map(move |&entry| {
            let entry = u32::from_ne_bytes(entry);
            let field = (entry & LENGTH_OR_END) as usize;
            let end = if entry & HAS_END == 0 {
                start + field
            } else {
                field
            };
            let value = self.value(entry & TYPE, start, end);
            start = end;
            value
        })
    }

    fn value(self, kind: u32, start: usize, end: usize) -> Option<Value<'a>> {
        // Numbers and containers begin at a multiple of four.
        let aligned = || self.data.get(start.next_multiple_of(4)..end);
        Some(match kind {
            0x0000_0000 => Value::String(self.data.get(start..end)?),
            0x1000_0000 => Value::Number(Number(after_length(aligned()?)?)),
            0x2000_0000 => Value::Bool(false),
            0x3000_0000 => Value::Bool(true),
            0x5000_0000 => Value::of_container(aligned()?),
            _ => Value::Other,
        })
    }
}

impl<'a> Value<'a> {
    fn of_container(bytes: &'a [u8]) -> Self {
        let object = || Array::of_object(bytes).map(Value::Object);
        Array::of_jsonb(bytes)
            .map(Value::Array)
            .or_else(object)
            .unwrap_or(Value::Other)
    }
}

/// Makes JSON of a jsonb value, of bounded size. Numbers are doubles.
struct Reader {
    /// Whether an array under a key is of interest.
    wants: fn(&str) -> bool,
    /// How many more values it may have.
    left: usize,
}

impl Reader {
    fn value(&mut self, value: Value<'_>, levels: usize) -> Json {
        self.left = self.left.saturating_sub(1);
        match value {
            Value::String(bytes) if bytes.len() <= LONGEST_TEXT => String::from_utf8_lossy(bytes).into(),
            // A number beyond the range of a double is no number that anybody counted.
            Value::Number(number) => match number.to_f64() {
                Some(number) if number.is_finite() => number.into(),
                _ => "beyond the range of a double".into(),
            },
            Value::Bool(is) => is.into(),
            Value::Object(object) if levels > 0 => self.object(object, levels - 1).into(),
            _ => Json::Null,
        }
    }

    fn object(&mut self, object: Array<'_>, levels: usize) -> Map<String, Json> {
        let mut read = Map::new();
        let pairs = object
            .values()
            .zip(object.values().skip(object.entries.len() / 2));
        for (key, value) in pairs.take(object.entries.len() / 2) {
            let (Some(Value::String(key)), Some(value)) = (key, value) else {
                continue;
            };
            if self.left == 0 {
                break;
            }
            let key = String::from_utf8_lossy(key);
            let value = match value {
                Value::Array(array) if levels > 0 && (self.wants)(&key) => self.array(array, levels - 1),
                Value::Array(_) => Json::Null,
                value => self.value(value, levels),
            };
            read.insert(key.into_owned(), value);
        }
        read
    }

    fn array(&mut self, array: Array<'_>, levels: usize) -> Json {
        let values = array.values().flatten().take(self.left);
        let values: Vec<Value<'_>> = values.collect();
        values
            .into_iter()
            .map(|value| self.value(value, levels))
            .collect()
    }
}

/// Longer texts say nothing of interest here.
const LONGEST_TEXT: usize = 200;

/// An object from the bytes of a jsonb value after its length: down to `levels` levels, at most `most` values, without long texts
/// and without arrays under keys that are not wanted. Returns whether these are all. (The text of a jsonb value may be too deep for
/// a parser, or have numbers that are too large for it.) Null for anything but an object.
#[must_use]
pub fn to_json(bytes: &[u8], levels: usize, most: usize, wants: fn(&str) -> bool) -> (Json, bool) {
    let mut reader = Reader { wants, left: most };
    let json = reader.value(Value::of_container(bytes), levels);
    (json, reader.left > 0)
}

/// The number under a key of an object, from the bytes of its jsonb value after its length.
pub(crate) fn number_under<'a>(bytes: &'a [u8], key: &str) -> Option<Number<'a>> {
    let object = Array::of_object(bytes)?;
    let pairs = object.entries.len() / 2;
    let is_key =
        |held: Option<Value<'_>>| matches!(held, Some(Value::String(held)) if held == key.as_bytes());
    let place = object.values().take(pairs).position(is_key)?;
    match object.values().nth(pairs + place)? {
        Some(Value::Number(number)) => Some(number),
        _ => None,
    }
}

/// Whether a jsonb value is certain to be an object that has, as text, at most `8 * most` bytes, at most `levels` levels, and no
/// number that a double cannot hold.
#[must_use]
pub fn is_small_object(bytes: &[u8], most: usize, levels: usize) -> bool {
    bytes.len() <= most && Array::of_object(bytes).is_some_and(|object| object.is_small(levels))
}

impl Array<'_> {
    /// A byte of a text becomes six as `\u0001`, and an entry of four bytes leads to quotes, a comma and spaces. A number takes ten
    /// bytes at least, and here forty characters more than its digits at most.
    fn is_small(self, levels: usize) -> bool {
        levels > 0
            && self.values().all(|value| match value {
                Some(Value::Number(number)) => {
                    let parts = number.parts();
                    parts.is_some_and(|(_, digits, exponent)| digits.len() <= 8 && exponent.abs() <= 32)
                }
                Some(Value::Array(array) | Value::Object(array)) => array.is_small(levels - 1),
                Some(_) => true,
                None => false,
            })
    }
}

/// What follows the length of a value that is neither compressed nor external: one byte, or four.
fn after_length(bytes: &[u8]) -> Option<&[u8]> {
    let &first = bytes.first()?;
    #[cfg(target_endian = "little")]
    let is_short = first & 1 == 1;
    #[cfg(target_endian = "big")]
    let is_short = first & 0x80 != 0;
    bytes.get(if is_short { 1 } else { 4 }..)
}

impl Number<'_> {
    /// The nearest float; infinity if it is beyond the range.
    pub(crate) fn to_f32(&self) -> Option<f32> {
        let (is_negative, digits, exponent) = self.parts()?;
        let magnitude = quickly(digits.clone(), exponent).or_else(|| exactly(digits, exponent))?;
        Some(if is_negative { -magnitude } else { magnitude })
    }

    /// The nearest double; infinity if it is beyond the range.
    fn to_f64(&self) -> Option<f64> {
        let (is_negative, digits, exponent) = self.parts()?;
        let magnitude = exactly::<f64>(digits, exponent)?;
        Some(if is_negative { -magnitude } else { magnitude })
    }

    /// Its digits as a whole number, and the power of ten that this is to be multiplied by. None below zero, or if it has more than
    /// 32 digits.
    pub(crate) fn decimal(&self) -> Option<(u128, i32)> {
        let (is_negative, digits, exponent) = self.parts()?;
        if is_negative || digits.len() > 8 {
            return None;
        }
        let whole = digits.fold(0u128, |whole, digit| whole * 10_000 + u128::from(digit));
        Some((whole, exponent))
    }

    /// Whether it is below zero, its digits of base 10000, and the power of ten of the last one.
    fn parts(&self) -> Option<(bool, impl ExactSizeIterator<Item = u16> + Clone, i32)> {
        let (&header, rest) = self.0.split_first_chunk()?;
        let header = u16::from_ne_bytes(header);
        // The digits are of base 10000. The weight is the power of the first one.
        let (is_negative, weight, digits) = match header & 0xc000 {
            0xc000 => return None,
            0x8000 => {
                let weight = i32::from(header & 0x3f) - i32::from(header & 0x40);
                (header & 0x2000 != 0, weight, rest)
            }
            sign => {
                let (&weight, digits) = rest.split_first_chunk()?;
                (sign == 0x4000, i32::from(i16::from_ne_bytes(weight)), digits)
            }
        };
        let (digits, _) = digits.as_chunks();
        let digits = digits.iter().map(|&digit| u16::from_ne_bytes(digit));
        let exponent = 4 * (weight + 1 - i32::try_from(digits.len()).ok()?);
        Some((is_negative, digits, exponent))
    }
}

/// The powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// The nearest float, if it is certain to be that of the nearest double.
fn quickly(digits: impl ExactSizeIterator<Item = u16>, exponent: i32) -> Option<f32> {
    // So many digits fit.
    if digits.len() > 9 {
        return None;
    }
    let mantissa = digits.fold(0u128, |mantissa, digit| mantissa * 10_000 + u128::from(digit));
    let power = *POWERS.get(exponent.unsigned_abs() as usize)?;
    let double = if exponent < 0 {
        mantissa as f64 / power
    } else {
        mantissa as f64 * power
    };
    // Two operations have rounded, each by half a unit of the last place. A float has 29 bits less. In the middle between two
    // floats, the few units might decide.
    let rest = double.to_bits() & ((1 << 29) - 1);
    let is_certain =
        rest.abs_diff(1 << 28) > 8 && (f64::from(f32::MIN_POSITIVE)..f64::from(f32::MAX)).contains(&double);
    is_certain.then_some(double as f32)
}

/// The nearest float; infinity beyond the range. The standard library reads it from a text.
fn exactly<F: FromStr>(digits: impl ExactSizeIterator<Item = u16>, exponent: i32) -> Option<F> {
    let mut text = Vec::with_capacity(4 * digits.len() + 16);
    for digit in digits {
        let of = |power| b'0' + (digit / power % 10) as u8;
        text.extend_from_slice(&[of(1000), of(100), of(10), of(1)]);
    }
    // Zero has no digits.
    text.extend_from_slice(b"0e");
    text.extend_from_slice(exponent.checked_sub(1)?.to_string().as_bytes());
    std::str::from_utf8(&text).ok()?.parse().ok()
}
