mod numbers;
mod reader;

use super::*;
use proptest::prelude::*;
use reader::texts;
use serde_json::json;
use std::ops::Range;

const LANGUAGES: [Language; 2] = [Language::English, Language::French];

/// Names that must neither become tags, nor turn the text around.
const HOSTILE: [&str; 8] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "</style></svg></title><script src=//evil.example></script>",
    "'; background:url(https://evil.example)",
    "&lt;b&gt; &#60;script&#62; &amp",
    "\u{202e}txt.exe\u{2066}\u{200f}",
    "\0\u{1}\u{8}\u{b}\u{7f}\u{85}\n\r\t\u{2028}\u{feff}\u{ffff}",
    "<!--",
];

/// The dates of test data.
fn date(day: usize) -> String {
    format!("2026-{:02}-{:02}", day / 28 % 12 + 1, day % 28 + 1)
}

fn data(days: usize, models: Range<usize>, name: impl Fn(usize) -> String) -> Value {
    let day = |day: usize| {
        json!({
            "date": date(day), "completed": 5 + day % 3, "handled": 1, "failed": 1, "cancelled": 0,
            "running": 2, "input": 1000 * day, "output": 10, "cached": 300 * day, "p50": 120.5, "p95": 900, "p99": 61_000.25,
        })
    };
    let costs: serde_json::Map<_, _> = (0..days).map(|day| (date(day), json!(0.25))).collect();
    json!({
        "project": name(0), "time_zone": name(1), "made": name(2), "all": day(9), "days": (0..days).map(day).collect::<Vec<_>>(),
        "models": models.map(|model| json!({
            "name": name(model), "is_rest": false, "calls": 7, "unpriced": 1, "cost": model, "costs": costs,
        })).collect::<Vec<_>>(),
        "steps": [{ "name": name(3), "calls": 4, "failed": 1, "cost": 0.000012, "p95": 5 }, { "name": name(4), "calls": 1, "cost": null }],
        "budgets": [{
            "name": name(5), "model": name(7), "phase": "P1", "user": name(8), "is_hard": false, "state": "exhausted", "limit": 10, "spent": 12, "reserved": 1, "unpriced": 3, "forecast": 20.5, "ends": name(6), "exhausted": "2026-11-30",
        }],
        "sources": { "sources": 2, "chunks": 10, "embedded": 9, "failed": 1 },
    })
}

fn both(data: &Value) -> Vec<Vec<String>> {
    LANGUAGES
        .map(|language| texts(&report(&data.to_string(), language)))
        .to_vec()
}

fn shows(texts: &[String], what: &str) -> bool {
    texts.iter().any(|text| text.contains(what))
}

#[test]
fn names_stay_text() {
    for hostile in HOSTILE {
        let data = data(3, 0..9, |place| format!("{place}{hostile}"));
        for texts in both(&data) {
            let visible = format::clean(&format!("3{hostile}"));
            assert!(texts.concat().contains(&visible), "{visible}");
            let hidden = |letter: char| {
                letter != '\n' && letter.is_control()
                    || matches!(letter, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            };
            assert!(!texts.concat().contains(hidden), "{texts:?}");
        }
    }
}

#[test]
fn a_page_is_the_same_with_an_unwritten_name() {
    // Long names are cut, and nothing else changes.
    let [english, french] = LANGUAGES;
    let data = data(2, 0..2, |_| "é".repeat(5000));
    for language in [english, french] {
        let page = report(&data.to_string(), language);
        assert!(page.len() < 40_000, "{}", page.len());
        assert!(page.contains(&format!("{}…", "é".repeat(200))));
    }
}

#[test]
fn nothing_is_a_page_too() {
    for data in [
        "",
        "null",
        "[]",
        "{}",
        "7",
        "{\"days\": 3, \"models\": {}}",
        "{\"days\": [null]}",
        &"[".repeat(10_000),
    ] {
        for language in LANGUAGES {
            let texts = texts(&report(data, language));
            assert!(
                shows(
                    &texts,
                    language.say("Nothing in this period.", "Rien sur cette période.")
                ),
                "{data}"
            );
        }
    }
}

#[test]
fn one_day_is_drawn() {
    for texts in both(&data(1, 0..1, |place| place.to_string())) {
        assert!(!shows(&texts, "Nothing") && !shows(&texts, "Rien"), "{texts:?}");
    }
}

#[test]
fn bars_have_a_width_and_lie_in_the_chart() {
    for days in [1, 2, 3, 31, 366] {
        let page = report(
            &data(days, 0..1, |place| place.to_string()).to_string(),
            Language::English,
        );
        let bars: Vec<&str> = page.split("<rect ").skip(1).collect();
        assert!(bars.len() >= 3 * days, "{days} days: {} bars", bars.len());
        for bar in bars {
            let number = |key: &str| -> i32 {
                let (_, rest) = bar.split_once(&format!("{key}=\"")).unwrap();
                rest.split_once('"').unwrap().0.parse().unwrap()
            };
            let (from, width) = (number("x"), number("width"));
            assert!(
                width > 0 && from >= 170 && from + width <= 1200,
                "{days} days: {bar:.99}"
            );
        }
    }
}

#[test]
fn a_thousand_models_are_eight_rows() {
    let data = data(366, 0..1000, |place| format!("model-{place}-"));
    let page = report(&data.to_string(), Language::English);
    let texts = texts(&page);
    assert!(shows(&texts, "model-999-") && shows(&texts, "model-993-") && !shows(&texts, "model-992-"));
    // The sum of 0 to 992, and that of 0 to 999.
    assert!(shows(&texts, "all others") && shows(&texts, "$492,528.00") && shows(&texts, "$499,500.00"));
    assert!(page.len() < 1_000_000, "{}", page.len());
}

#[test]
fn values_of_any_size_are_drawn() {
    for value in [
        0.0,
        -0.0,
        1e-12,
        -3.5,
        99_999_999.999,
        1e15,
        -1e15,
        1e300,
        f64::MAX,
        f64::MIN_POSITIVE,
    ] {
        let mut data = data(4, 0..3, |place| place.to_string());
        for day in 0..4 {
            for key in ["completed", "input", "output", "cached", "p50", "p95", "p99"] {
                data["days"][day][key] = json!(value);
            }
            data["models"][0]["costs"][date(day)] = json!(value);
        }
        data["models"][0]["cost"] = json!(value);
        for texts in both(&data) {
            assert!(
                !shows(&texts, "NaN") && !shows(&texts, "inf"),
                "{value}: {texts:?}"
            );
        }
    }
}

#[test]
fn corrections_go_below_zero() {
    let mut data = data(2, 1..2, |place| place.to_string());
    data["models"][0]["cost"] = json!(-3.5);
    data["models"][0]["costs"] = json!({ "2026-01-01": 2, "2026-01-02": -5.5 });
    let [english, french] = LANGUAGES.map(|language| texts(&report(&data.to_string(), language)));
    assert!(shows(&english, "−$3.50") && shows(&french, "−3,50\u{a0}$"));
    // On the axis, too.
    assert!(
        english
            .iter()
            .filter(|text| text.trim().starts_with("−$"))
            .count()
            >= 2,
        "{english:?}"
    );
}

#[test]
fn an_unknown_cost_is_not_zero() {
    let mut data = data(2, 0..2, |place| format!("model-{place}-"));
    for model in 0..2 {
        data["models"][model]["cost"] = Value::Null;
        data["models"][model]["costs"] = Value::Null;
        data["models"][model]["unpriced"] = json!(7);
    }
    data["steps"][0]["cost"] = Value::Null;
    data["budgets"] = Value::Null;
    let [english, french] = LANGUAGES.map(|language| texts(&report(&data.to_string(), language)));
    // The tile, two models and two steps.
    for (texts, unknown) in [(english, "unknown"), (french, "inconnu")] {
        assert_eq!(
            texts.iter().filter(|text| *text == unknown).count(),
            5,
            "{texts:?}"
        );
        assert!(shows(&texts, " 14") && !shows(&texts, "$"), "{texts:?}");
    }
    // Of two models, one cost is known: it comes first, and is the sum.
    data["models"][1]["cost"] = json!(0);
    let texts = texts(&report(&data.to_string(), Language::English));
    // The names are in the head of the page, too.
    let row = |model: &str| texts.iter().rposition(|text| text == model);
    let tile = texts.iter().position(|text| text == "$0.00");
    assert!(
        tile < row("model-1-") && row("model-1-") < row("model-0-"),
        "{texts:?}"
    );
}

#[test]
fn the_rest_of_models_without_a_price_is_unknown() {
    let mut data = data(1, 0..30, |place| format!("model-{place}-"));
    for model in 0..30 {
        data["models"][model]["cost"] = if model < 7 { json!(1) } else { Value::Null };
    }
    let texts = texts(&report(&data.to_string(), Language::English));
    let rest = texts.iter().position(|text| text == "all others").expect("a row");
    assert_eq!(texts[rest + 1..rest + 5], ["161", "23", "unknown", "–"]);
}

#[test]
fn handlers_of_failures_are_no_success() {
    let mut data = data(1, 0..1, |place| place.to_string());
    data["all"] = json!({ "completed": 3, "handled": 6, "failed": 1 });
    let texts = texts(&report(&data.to_string(), Language::English));
    assert!(
        shows(&texts, "75%") && shows(&texts, "failures handled 6"),
        "{texts:?}"
    );
    assert_eq!(
        texts.iter().position(|text| text == "10"),
        texts
            .iter()
            .position(|text| text == "Runs")
            .map(|place| place + 1)
    );
}

#[test]
fn a_budget_says_what_it_counts_and_what_it_lacks() {
    let mut data = data(1, 0..1, |place| format!("name-{place}"));
    data["budget_count"] = json!(51);
    let [english, french] = LANGUAGES.map(|language| texts(&report(&data.to_string(), language)).concat());
    for expected in [
        "name-5 · name-7 · P1 · name-8 · only warns",
        "$12.00 of $10.00, $1.00 reserved · used up · calls without a known price: 3",
        "forecast $20.50 · will be used up on Nov 30, 2026",
        "Budgets not shown: 50",
    ] {
        assert!(english.contains(expected), "{expected}: {english}");
    }
    for expected in [
        "12,00\u{a0}$ sur 10,00\u{a0}$, 1,00\u{a0}$ réservés · épuisé",
        "sera épuisé le 30 nov. 2026",
    ] {
        assert!(french.contains(expected), "{expected}: {french}");
    }
}

proptest! {
    #[test]
    fn any_name_is_only_text(name in any::<String>(), days in 0..5_usize) {
        both(&data(days, 0..4, |_| name.clone()));
    }

    #[test]
    fn any_values_make_a_page(values in proptest::collection::vec(any::<f64>(), 8)) {
        let mut data = data(8, 0..2, |place| place.to_string());
        for (day, value) in values.iter().enumerate() {
            data["days"][day]["p95"] = json!(value);
            data["days"][day]["input"] = json!(value);
            data["models"][0]["costs"][date(day)] = json!(value);
        }
        both(&data);
    }
}
