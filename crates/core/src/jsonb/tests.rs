use super::*;
use serde_json::json;

/// What is written as jsonb.
pub(crate) enum Json {
    Null,
    String(String),
    Number(String),
    Array(Vec<Json>),
    Bool(bool),
    Object(Vec<(&'static str, Json)>),
}

/// The bytes of a jsonb array, as Postgres writes them.
pub(crate) fn encode(values: &[Json]) -> Vec<u8> {
    container(0x4000_0000 | values.len() as u32, values.iter())
}

/// The bytes of a jsonb object: its keys, and then its values.
pub(crate) fn encode_object(pairs: &[(&'static str, Json)]) -> Vec<u8> {
    let keys: Vec<Json> = pairs.iter().map(|(key, _)| Json::String((*key).into())).collect();
    let values = pairs.iter().map(|(_, value)| value);
    container(0x2000_0000 | pairs.len() as u32, keys.iter().chain(values))
}

fn container<'a>(header: u32, values: impl Iterator<Item = &'a Json>) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut data = Vec::new();
    for (place, value) in values.enumerate() {
        let start = data.len();
        let align = |data: &mut Vec<u8>| data.resize(data.len().next_multiple_of(4), 0);
        let kind: u32 = match value {
            Json::Null => 0x4000_0000,
            Json::Bool(false) => 0x2000_0000,
            Json::Bool(true) => 0x3000_0000,
            Json::String(text) => {
                data.extend_from_slice(text.as_bytes());
                0
            }
            Json::Number(number) => {
                align(&mut data);
                let numeric = numeric(number);
                data.extend_from_slice(&((numeric.len() as u32 + 4) << 2).to_le_bytes());
                data.extend_from_slice(&numeric);
                0x1000_0000
            }
            Json::Array(values) => {
                align(&mut data);
                data.extend_from_slice(&encode(values));
                0x5000_0000
            }
            Json::Object(pairs) => {
                align(&mut data);
                data.extend_from_slice(&encode_object(pairs));
                0x5000_0000
            }
        };
        // Every 32nd entry has the end instead of the length.
        let field = if place % 32 == 0 {
            0x8000_0000 | data.len() as u32
        } else {
            (data.len() - start) as u32
        };
        entries.extend_from_slice(&(kind | field).to_le_bytes());
    }
    let mut bytes = header.to_le_bytes().to_vec();
    bytes.extend(entries);
    bytes.extend(data);
    bytes
}

/// The bytes of a numeric after its length. `number` has no exponent.
fn numeric(number: &str) -> Vec<u8> {
    let (sign, number) = number
        .strip_prefix('-')
        .map_or((0, number), |rest| (0x4000, rest));
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let mut text = "0".repeat(whole.len().next_multiple_of(4) - whole.len());
    text.push_str(whole);
    let weight = text.len() / 4 - 1;
    text.push_str(part);
    text.push_str(&"0".repeat(text.len().next_multiple_of(4) - text.len()));
    let mut bytes = u16::to_le_bytes(sign | part.len() as u16).to_vec();
    bytes.extend_from_slice(&(weight as i16).to_le_bytes());
    for digit in text.as_bytes().chunks(4) {
        let digit: u16 = std::str::from_utf8(digit).unwrap().parse().unwrap();
        bytes.extend_from_slice(&digit.to_le_bytes());
    }
    bytes
}

fn all(_: &str) -> bool {
    true
}

#[test]
fn an_object_is_read() {
    let object = || {
        vec![
            ("a", Json::Number("1920".into())),
            ("b", Json::Number("-0.00315".into())),
            ("cc", Json::String("flex".into())),
            (
                "dd",
                Json::Object(vec![("inner", Json::Bool(true)), ("none", Json::Null)]),
            ),
            (
                "ee",
                Json::Array(vec![
                    Json::Number("5".into()),
                    Json::Object(vec![("x", Json::Bool(false))]),
                ]),
            ),
            ("long", Json::String("x".repeat(201))),
            ("large", Json::Number(format!("1{}", "0".repeat(400)))),
        ]
    };
    let expected = json!({"a": 1920.0, "b": -0.00315, "cc": "flex", "dd": {"inner": true, "none": null},
        "ee": [5.0, {"x": false}], "long": null, "large": "beyond the range of a double"});
    let bytes = encode_object(&object());
    assert_eq!(to_json(&bytes, 3, 100, all), (expected, true));
    assert_eq!(
        to_json(&bytes, 3, 100, |key| key != "ee").0["ee"],
        serde_json::Value::Null
    );
    assert_eq!(to_json(&bytes, 1, 100, all).0["dd"], serde_json::Value::Null);
    assert!(!to_json(&bytes, 3, 5, all).1);
    assert_eq!(
        to_json(&encode(&[Json::Null]), 3, 100, all).0,
        serde_json::Value::Null
    );
    for end in 0..bytes.len() {
        let _ = to_json(&bytes[..end], 3, 100, all);
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 4..200), pairs in 0u8..5) {
        bytes[..4].copy_from_slice(&(0x2000_0000 | u32::from(pairs)).to_le_bytes());
        let _ = to_json(&bytes, 16, 1000, all);
    }

    #[test]
    fn numbers_are_the_nearest_doubles(number in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?") {
        let bytes = encode_object(&[("n", Json::Number(number.clone()))]);
        proptest::prop_assert_eq!(to_json(&bytes, 1, 10, all).0["n"].as_f64(), number.parse::<f64>().ok().map(|n| n + 0.0));
    }
}
