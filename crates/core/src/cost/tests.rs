use super::*;
use crate::jsonb::tests::{Json, encode_object};
use proptest::prelude::*;

fn rates(rates: &[(&'static str, &str)]) -> Vec<u8> {
    let pairs: Vec<_> = rates
        .iter()
        .map(|&(unit, rate)| (unit, Json::Number(rate.into())))
        .collect();
    encode_object(&pairs)
}

fn usd(counts: &[(&'static str, f64)], at: &[(&'static str, &str)]) -> Option<String> {
    let usage = Usage {
        tokens_input: Some(1000.0),
        counts: counts.into(),
        ..Usage::default()
    };
    Price::of(&usage, &rates(at)).map(|price| price.usd)
}

#[test]
fn costs_are_exact() {
    for (count, rate, expected) in [
        (1.0, "2.5", "0.0000025"),
        (1_000_000.0, "2.5", "2.5"),
        (3.0, "0.1", "0.0000003"),
        (1e15, "1000000000", "1000000000000000000"),
        (7.0, "0.000000000001", "0.000000000000000007"),
        (0.0, "3", "0"),
        (5.0, "0", "0"),
    ] {
        assert_eq!(
            usd(&[("input", count)], &[("input", rate)]).as_deref(),
            Some(expected),
            "{count} at {rate}"
        );
    }
    let at = [("cache_read", "1.25"), ("input", "2.5"), ("output", "10")];
    let counts = [("cache_read", 400.0), ("input", 600.0), ("output", 100.0)];
    assert_eq!(usd(&counts, &at).as_deref(), Some("0.003"));
}

#[test]
fn what_is_not_plain_has_no_price() {
    assert_eq!(usd(&[("input", 1.5)], &[("input", "1")]), None, "half a token");
    assert_eq!(
        usd(&[("input", 1e16)], &[("input", "1")]),
        None,
        "more than a double counts"
    );
    assert_eq!(usd(&[("input", f64::NAN)], &[("input", "1")]), None, "no number");
    assert_eq!(
        usd(&[("output", 1.0)], &[("input", "1")]),
        None,
        "a unit without a rate"
    );
    assert_eq!(
        usd(&[("input", 1.0)], &[("input", "-1")]),
        None,
        "a rate below zero"
    );
    let long = "1".repeat(60);
    assert_eq!(
        usd(&[("input", 1.0)], &[("input", &long)]),
        None,
        "a rate of sixty digits"
    );
    let far = format!("0.{}1", "0".repeat(60));
    assert_eq!(
        usd(&[("input", 1.0)], &[("input", &far)]),
        None,
        "a rate of sixty places"
    );
    let two = [
        ("input", "1000000000"),
        ("output", "0.000000000000000000000000000001"),
    ];
    assert_eq!(
        usd(&[("input", 1e15), ("output", 1.0)], &two),
        None,
        "a sum of too many digits"
    );
}

proptest! {
    /// The same as long multiplication and addition of whole numbers.
    #[test]
    fn sums_are_those_of_whole_numbers(parts in prop::collection::vec((0u64..1_000_000_000, 0u64..1_000_000_000_000), 1..3)) {
        let units = ["cache_read", "input"];
        let counts: Vec<_> = units.iter().zip(&parts).map(|(&unit, &(count, _))| (unit, count as f64)).collect();
        let texts: Vec<_> = parts.iter().map(|(_, rate)| format!("{}.{:06}", rate / 1_000_000, rate % 1_000_000)).collect();
        let at: Vec<_> = units.iter().zip(&texts).map(|(&unit, text)| (unit, text.as_str())).collect();
        let sum: u128 = parts.iter().map(|&(count, rate)| u128::from(count) * u128::from(rate)).sum();
        let found = usd(&counts, &at).unwrap();
        let (whole, fraction) = found.split_once('.').unwrap_or((&found, ""));
        prop_assert!(!fraction.ends_with('0') && fraction.len() <= 12);
        prop_assert_eq!(format!("{whole}{fraction:0<12}").parse::<u128>().unwrap(), sum);
    }

    /// Whatever the bytes are.
    #[test]
    fn damaged_rates_give_nothing_or_a_number(bytes in prop::collection::vec(any::<u8>(), 0..100), flips in prop::collection::vec((0usize..60, any::<u8>()), 0..4)) {
        let usage = Usage { tokens_input: Some(1.0), counts: vec![("input", 1.0)], ..Usage::default() };
        let _ = Price::of(&usage, &bytes);
        let mut held = rates(&[("input", "2.5"), ("output", "10")]);
        for (place, byte) in flips {
            if let Some(at) = held.get_mut(place) {
                *at ^= byte;
            }
        }
        if let Some(price) = Price::of(&usage, &held) {
            prop_assert!(price.usd.parse::<f64>().unwrap() >= 0.0);
        }
        let _ = plain_usage(&bytes, None, None);
        let _ = plain_usage(&held, Some(1), None);
    }
}

#[test]
fn only_small_usage_in_no_doubt_is_plain() {
    let tokens =
        |pairs: &[(&'static str, Json)]| plain_usage(&encode_object(pairs), Some(10), Some(5)).is_some();
    assert!(tokens(&[]));
    assert!(tokens(&[("service_tier", Json::String("default".into()))]));
    assert!(tokens(&[("model", Json::String("gpt-4o".into()))]));
    assert!(!tokens(&[("service_tier", Json::String("flex".into()))]));
    assert!(!tokens(&[("provider", Json::String("azure".into()))]));
    assert!(
        !tokens(&[("prompt_tokens", Json::Number("11".into()))]),
        "another count"
    );
    assert!(!tokens(&[("other", Json::String("x".repeat(2000)))]), "too long");
    assert!(
        !tokens(&[("other", Json::Number("9".repeat(200)))]),
        "a number of two hundred digits"
    );
    let nested = |levels| (0..levels).fold(Json::Null, |inner, _| Json::Array(vec![inner]));
    assert!(tokens(&[("other", nested(10))]));
    assert!(!tokens(&[("other", nested(20))]), "too deep");
    assert!(plain_usage(&[], Some(1), None).is_none());
}
