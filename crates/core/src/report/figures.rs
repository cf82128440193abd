//! The sections with charts.

use super::chart::{self, Labels, SHADES, Series};
use super::data::{Day, Model, Report};
use super::format::{Language, clean};
use maud::{Markup, PreEscaped, html};

/// A chart, or a sentence that there is nothing to draw.
fn figure(name: &str, svg: Option<String>, language: Language) -> Markup {
    match svg {
        Some(svg) => html! {
            svg viewBox=(chart::VIEW) role="img" aria-label=(name) { (PreEscaped(svg)) }
        },
        None => nothing(language),
    }
}

pub(super) fn nothing(language: Language) -> Markup {
    html! { p.small { (language.say("Nothing in this period.", "Rien sur cette période.")) } }
}

pub(super) fn shade(place: usize) -> String {
    format!("background:var(--s{place})")
}

pub(super) fn key(names: &[(usize, &str)]) -> Markup {
    html! { ul.key { @for (place, name) in names { li { i style=(shade(*place)) {} (name) } } } }
}

fn days(report: &Report, language: Language) -> Vec<String> {
    report.days.iter().map(|day| language.day(&day.date)).collect()
}

fn series(place: usize, days: &[Day], value: impl Fn(&Day) -> Option<f64>) -> Series {
    Series {
        shade: SHADES[place],
        values: days.iter().map(value).collect(),
    }
}

/// The colour of a model. Steps without a model and the rest are grey.
fn place_of(place: usize, model: &Model) -> usize {
    if model.is_rest || model.name.is_none() {
        SHADES.len() - 1
    } else {
        place.min(SHADES.len() - 1)
    }
}

pub(super) fn costs(report: &Report, language: Language) -> Markup {
    let name = language.say("Cost per day, by model", "Coût par jour, par modèle");
    let bars: Vec<Series> = (report.models.iter().enumerate())
        .map(|(place, model)| Series {
            shade: SHADES[place_of(place, model)],
            values: model.costs.iter().copied().map(Some).collect(),
        })
        .collect();
    let labels = Labels {
        days: &days(report, language),
        value: &|value, most| language.short_money(value, most),
    };
    html! {
        section {
            h2 { (name) }
            (figure(name, chart::stacked(&bars, &labels), language))
            @if !report.models.is_empty() { div.wide { table {
                thead { tr {
                    th scope="col" { (language.say("Model", "Modèle")) }
                    th scope="col" { (language.say("Calls", "Appels")) }
                    th scope="col" { (language.say("No price", "Sans prix")) }
                    th scope="col" { (language.say("Cost", "Coût")) }
                    th scope="col" { (language.say("Share", "Part")) }
                } }
                tbody { @for (place, model) in report.models.iter().enumerate() { tr {
                    th scope="row" { i style=(shade(place_of(place, model))) {} (name_of(model, language)) }
                    td { (language.count(model.calls)) }
                    td { @if model.unpriced > 0.0 { (language.count(model.unpriced)) } @else { "–" } }
                    td { (language.known_money(model.cost)) }
                    td { (model.cost.map_or("–".into(), |cost| language.percent(cost, report.cost().unwrap_or(0.0)))) }
                } } }
            } } }
        }
    }
}

fn name_of(model: &Model, language: Language) -> Markup {
    match &model.name {
        _ if model.is_rest => html! { (language.say("all others", "tous les autres")) },
        Some(name) => html! { bdi { (clean(name)) } },
        None => html! { (language.say("no model", "sans modèle")) },
    }
}

pub(super) fn latencies(report: &Report, language: Language) -> Markup {
    let name = language.say("Latency of steps", "Latence des étapes");
    let names = ["p50", "p95", "p99"];
    let lines = [0, 1, 2].map(|place| series(place, &report.days, |day| day.latency[place]));
    let labels = Labels {
        days: &days(report, language),
        value: &|value, _| language.duration(value),
    };
    html! {
        section {
            h2 { (name) }
            (figure(name, chart::lines(&lines, &labels), language))
            ul.key { @for (place, name) in names.into_iter().enumerate() { li {
                i style=(shade(place)) {} (name)
                @if let Some(latency) = report.all.latency[place] { " " b { (language.duration(latency)) } }
            } } }
        }
    }
}

pub(super) fn runs(report: &Report, language: Language) -> Markup {
    let name = language.say("Runs per day", "Exécutions par jour");
    let bars = [
        series(2, &report.days, |day| Some(day.completed)),
        series(3, &report.days, |day| Some(day.handled)),
        series(4, &report.days, |day| Some(day.failed)),
        series(7, &report.days, |day| Some(day.cancelled)),
        series(5, &report.days, |day| Some(day.running)),
    ];
    let all = &report.all;
    let entry = |name: &str, runs: f64| format!("{name} {}", language.count(runs));
    let labels = Labels {
        days: &days(report, language),
        value: &|value, most| whole(language, value, most),
    };
    html! {
        section {
            h2 { (name) }
            (figure(name, chart::stacked(&bars, &labels), language))
            (key(&[
                (2, &entry(language.say("completed", "réussies"), all.completed)),
                (3, &entry(language.say("failures handled", "échecs traités"), all.handled)),
                (4, &entry(language.say("failed", "en échec"), all.failed)),
                (7, &entry(language.say("cancelled", "annulées"), all.cancelled)),
                (5, &entry(language.say("not ended", "non terminées"), all.running)),
            ]))
        }
    }
}

/// A label of an axis that counts.
fn whole(language: Language, value: f64, most: f64) -> String {
    if most >= 10_000.0 {
        language.short(value, most)
    } else if value.fract() == 0.0 {
        language.count(value)
    } else {
        String::new()
    }
}

pub(super) fn tokens(report: &Report, language: Language) -> Markup {
    let name = language.say("Tokens per day", "Jetons par jour");
    let bars = [
        series(2, &report.days, |day| Some(day.cached.min(day.input))),
        series(0, &report.days, |day| Some((day.input - day.cached).max(0.0))),
        series(1, &report.days, |day| Some(day.output)),
    ];
    let all = &report.all;
    let entry = |name: &str, tokens: f64| format!("{name} {}", language.count(tokens));
    let labels = Labels {
        days: &days(report, language),
        value: &|value, most| whole(language, value, most),
    };
    html! {
        section {
            h2 { (name) }
            (figure(name, chart::stacked(&bars, &labels), language))
            (key(&[
                (2, &entry(language.say("input from caches", "entrée depuis les caches"), all.cached)),
                (0, &entry(language.say("other input", "autre entrée"), (all.input - all.cached).max(0.0))),
                (1, &entry(language.say("output", "sortie"), all.output)),
            ]))
        }
    }
}
