use super::*;
use crate::jsonb::tests::{Json, encode};
use proptest::prelude::*;

fn read(values: &[Json]) -> Result<Vec<Vec<f32>>, Error> {
    embeddings(&encode(values), Interrupt::NEVER)
}

fn to_base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<bool> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
        .collect();
    let digits = bits.chunks(6).map(|bits| {
        (0..6).fold(0, |value, bit| {
            value * 2 + usize::from(*bits.get(bit).unwrap_or(&false))
        })
    });
    let mut text: String = digits.map(|digit| ALPHABET[digit] as char).collect();
    text.push_str(&"=".repeat(text.len().next_multiple_of(4) - text.len()));
    text
}

fn base64_of(numbers: &[f32]) -> Json {
    Json::String(to_base64(
        &numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect::<Vec<_>>(),
    ))
}

fn reason(value: Json) -> &'static str {
    match read(&[value]) {
        Err(Error::NotAVector { place: 1, reason }) => reason,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn every_form_of_a_vector_has_the_same_numbers(numbers in prop::collection::vec(any::<f32>().prop_filter("finite", |n| n.is_finite()), 1..100)) {
        let of_array = Json::Array(numbers.iter().map(|number| Json::Number(number.to_string())).collect());
        let of_doubles = Json::Array(numbers.iter().map(|&number| Json::Number(f64::from(number).to_string())).collect());
        let text = Json::String(format!(" [{}] ", numbers.iter().map(|n| format!("{n:e}")).collect::<Vec<_>>().join(" , ")));
        for form in [of_array, of_doubles, text, base64_of(&numbers)] {
            prop_assert_eq!(&read(&[form]).unwrap()[0], &numbers);
        }
    }

    #[test]
    fn a_decimal_becomes_the_nearest_float(number in "-?[0-9]{1,38}(\\.[0-9]{1,60})?") {
        prop_assert_eq!(&read(&[Json::Array(vec![Json::Number(number.clone())])]).unwrap()[0], &[number.parse::<f32>().unwrap()][..]);
    }

    /// Where a double is nearest to the middle between two floats.
    #[test]
    fn a_decimal_near_the_middle_of_two_floats_becomes_the_nearest(bits in 0x3000_0000_u32..0x4f00_0000, change in -3i64..=3) {
        let (low, high) = (f64::from(f32::from_bits(bits)), f64::from(f32::from_bits(bits + 1)));
        let middle = f64::from_bits(((low + (high - low) / 2.0).to_bits() as i64 + change) as u64);
        for number in [format!("{middle}"), format!("{middle:.25}"), format!("{middle:.12}")] {
            prop_assert_eq!(read(&[Json::Array(vec![Json::Number(number.clone())])]).unwrap()[0][0], number.parse::<f32>().unwrap());
        }
    }

    #[test]
    fn base64_decodes_to_what_was_encoded(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(base64::decode(to_base64(&bytes).as_bytes()), Some(bytes));
    }

    #[test]
    fn whatever_is_decoded_encodes_to_the_same_text(text in "[A-Za-z0-9+/]{0,12}={0,3}") {
        if let Some(bytes) = base64::decode(text.as_bytes()) {
            prop_assert_eq!(to_base64(&bytes), text);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = embeddings(&bytes, Interrupt::NEVER);
    }

    #[test]
    fn damaged_bytes_are_read_without_a_panic(numbers in prop::collection::vec(any::<f32>(), 0..40), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = encode(&[Json::Array(numbers.iter().map(|n| Json::Number(if n.is_finite() { n.to_string() } else { "0".into() })).collect()), base64_of(&numbers)]);
        let place = at.index(bytes.len());
        bytes[place] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = embeddings(&bytes, Interrupt::NEVER);
    }
}

#[test]
fn what_is_not_a_vector_is_refused() {
    let not_a_number = "It has something that is not a number.";
    let too_large = "It has a number beyond the range of a 32-bit float.";
    let neither = "It is a string, but neither the text of a vector nor base64.";
    for (value, expected) in [
        (Json::Null, "It is neither an array nor a string."),
        (Json::Number("1".into()), "It is neither an array nor a string."),
        (Json::Array(vec![Json::Null]), not_a_number),
        (Json::Array(vec![Json::String("1".into())]), not_a_number),
        (Json::Array(vec![Json::Array(vec![])]), not_a_number),
        (
            Json::Array(vec![Json::Number(format!("1{}", "0".repeat(39)))]),
            too_large,
        ),
        (
            Json::String("[1,2".into()),
            "It is a text that does not end with a bracket.",
        ),
        (Json::String("[1,,2]".into()), not_a_number),
        (Json::String("[NaN]".into()), too_large),
        (Json::String("[1e39]".into()), too_large),
        (Json::String("one, two".into()), neither),
        (Json::String("AAAA AAA".into()), neither),
        (Json::String("AAA".into()), neither),
        (Json::String("AAA=AAAA".into()), neither),
        (Json::String("AB==".into()), neither),
        (
            Json::String("AAAA".into()),
            "It is base64 of a number of bytes that is not a multiple of four.",
        ),
        (base64_of(&[1.0, f32::NAN]), too_large),
        (base64_of(&[f32::NEG_INFINITY]), too_large),
    ] {
        assert_eq!(reason(value), expected);
    }
}

#[test]
fn the_error_says_which_vector() {
    let refused = read(&[base64_of(&[1.0]), Json::Null]);
    assert!(matches!(refused, Err(Error::NotAVector { place: 2, .. })));
}

#[test]
fn a_scalar_or_an_object_is_no_array() {
    for header in [0x5000_0001_u32, 0x2000_0000] {
        assert_eq!(
            embeddings(&header.to_le_bytes(), Interrupt::NEVER),
            Err(Error::NotAnArray)
        );
    }
}

#[test]
fn long_arrays_check_for_cancellation() {
    let many: Vec<Json> = (0..50).map(|_| base64_of(&[1.0])).collect();
    let bytes = encode(&many);
    assert!(crate::interrupts(|interrupt| drop(embeddings(&bytes, interrupt))) >= 50);
}
