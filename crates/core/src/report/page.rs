//! The page itself.

use super::chart::{self, GRID, INK, Labels, SHADES, Series, Shade};
use super::data::{Budget, Day, Model, Report, Sources, Step};
use super::format::{Language, clean};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::fmt::Write as _;

pub(super) fn page(report: &Report, language: Language) -> Markup {
    let title = match clean(&report.project) {
        name if name.trim().is_empty() => language.say("Project", "Projet").into(),
        name => name,
    };
    html! {
        (DOCTYPE)
        html lang=(language.code()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                // Should a name ever get past the escaping, it could still run and load nothing.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(style())) }
            }
            body {
                header {
                    h1 { bdi { (title) } }
                    p.small { (period(report, language)) }
                }
                main {
                    (tiles(report, language))
                    div.cards {
                        (costs(report, language))
                        (latencies(report, language))
                        (runs(report, language))
                        (tokens(report, language))
                        (steps(&report.steps, language))
                        (budgets(&report.budgets, language))
                        (coverage(&report.sources, language))
                    }
                }
            }
        }
    }
}

/// The colours of the charts are written for a light page. On a dark one, rules replace each.
fn style() -> String {
    let shades = || {
        let named = [("ink", INK), ("grid", GRID)].map(|(name, shade)| (name.to_owned(), shade));
        let numbered = SHADES
            .iter()
            .enumerate()
            .map(|(place, shade)| (format!("s{place}"), *shade));
        named.into_iter().chain(numbered)
    };
    let mut css = String::from(":root{color-scheme:light dark;--page:#F4F5F7;--card:#FFFFFF;--text:#1B2028");
    for (name, shade) in shades() {
        let _ = write!(css, ";--{name}:#{:06X}", shade.light);
    }
    css.push_str("}\n@media (prefers-color-scheme:dark){:root{--page:#12151A;--card:#1B2027;--text:#E8EBEF");
    for (name, shade) in shades() {
        let _ = write!(css, ";--{name}:#{:06X}", shade.dark);
    }
    css.push_str("}\n");
    for (_, Shade { light, dark }) in shades() {
        let _ = writeln!(
            css,
            "svg [fill=\"#{light:06X}\"]{{fill:#{dark:06X}}}svg [stroke=\"#{light:06X}\"]{{stroke:#{dark:06X}}}"
        );
    }
    css.push_str("}\n");
    css + include_str!("page.css")
}

fn period(report: &Report, language: Language) -> Markup {
    let (first, last) = (language.date(&report.first), language.date(&report.last));
    let made = clean(&report.made);
    let (date, time) = made.split_once(' ').unwrap_or((&made, ""));
    html! {
        (first) @if first != last { " – " (last) }
        " · " bdi { (clean(&report.time_zone)) }
        " · " (language.say("made", "établi le")) " " (language.date(date)) " " (time)
    }
}

fn tiles(report: &Report, language: Language) -> Markup {
    let Report { all, sources, .. } = report;
    let ended = all.completed + all.failed;
    let tile = |name: &str, value: String, note: String| {
        html! { div { span.small { (name) } strong { (value) } span.small { (note) } } }
    };
    let unpriced = match report.unpriced() {
        0.0 => String::new(),
        calls => format!(
            "{} {}",
            language.say("calls without a known price:", "appels sans prix connu\u{a0}:"),
            language.count(calls)
        ),
    };
    html! {
        div.tiles {
            (tile(language.say("Cost", "Coût"), language.money(report.cost()), unpriced))
            (tile(language.say("Runs", "Exécutions"), language.count(all.runs()),
                  format!("{} {}", language.count(all.failed), language.say("failed", "en échec"))))
            (tile(language.say("Success", "Réussite"), language.percent(all.completed, ended),
                  language.say("of completed and failed runs", "des exécutions réussies ou en échec").into()))
            (tile(language.say("Latency, p95", "Latence, p95"),
                  all.latency[1].map_or("–".into(), |latency| language.duration(latency)),
                  language.say("of steps", "des étapes").into()))
            (tile(language.say("Tokens", "Jetons"), language.rough(all.input + all.output),
                  format!("{} {}", language.rough(all.output), language.say("of output", "en sortie"))))
            (tile(language.say("From caches", "Depuis les caches"), language.percent(all.cached, all.input),
                  language.say("of the input tokens", "des jetons en entrée").into()))
            (tile(language.say("Embedded", "Vectorisé"), language.percent(sources.embedded, sources.chunks),
                  format!("{} {}", language.count(sources.chunks), language.say("chunks", "fragments"))))
        }
    }
}

// Sections -----------------------------------------------------------------------------------------------------------

/// A chart, or a sentence that there is nothing to draw.
fn figure(name: &str, svg: Option<String>, language: Language) -> Markup {
    match svg {
        Some(svg) => html! {
            svg viewBox=(chart::VIEW) role="img" aria-label=(name) { (PreEscaped(svg)) }
        },
        None => nothing(language),
    }
}

fn nothing(language: Language) -> Markup {
    html! { p.small { (language.say("Nothing in this period.", "Rien sur cette période.")) } }
}

fn shade(place: usize) -> String {
    format!("background:var(--s{place})")
}

fn key(names: &[(usize, &str)]) -> Markup {
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

fn costs(report: &Report, language: Language) -> Markup {
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
                    td { (language.money(model.cost)) }
                    td { (language.percent(model.cost, report.cost())) }
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

fn latencies(report: &Report, language: Language) -> Markup {
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

fn runs(report: &Report, language: Language) -> Markup {
    let name = language.say("Runs per day", "Exécutions par jour");
    let bars = [
        series(2, &report.days, |day| Some(day.completed)),
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

fn tokens(report: &Report, language: Language) -> Markup {
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

fn steps(steps: &[Step], language: Language) -> Markup {
    html! {
        section {
            h2 { (language.say("Steps that cost most", "Étapes les plus chères")) }
            @if steps.is_empty() { (nothing(language)) } @else { div.wide { table {
                thead { tr {
                    th scope="col" { (language.say("Step", "Étape")) }
                    th scope="col" { (language.say("Attempts", "Tentatives")) }
                    th scope="col" { (language.say("Failed", "Échecs")) }
                    th scope="col" { "p95" }
                    th scope="col" { (language.say("Cost", "Coût")) }
                } }
                tbody { @for step in steps { tr {
                    th scope="row" { bdi { (clean(&step.name)) } }
                    td { (language.count(step.calls)) }
                    td { (language.count(step.failed)) }
                    td { (step.p95.map_or("–".into(), |latency| language.duration(latency))) }
                    td { (step.cost.map_or("–".into(), |cost| language.money(cost))) }
                } } }
            } } }
        }
    }
}

/// A bar that parts of a whole fill, each in its colour.
fn bar(parts: &[(usize, f64)], whole: f64) -> Markup {
    let width = |part: f64| (part / whole * 100.0).clamp(0.0, 100.0);
    html! {
        div.bar {
            @if whole > 0.0 { @for (place, part) in parts {
                span style=(format!("width:{:.2}%;{}", width(*part), shade(*place))) {}
            } }
        }
    }
}

fn budgets(budgets: &[Budget], language: Language) -> Markup {
    html! {
        @if !budgets.is_empty() { section {
            h2 { (language.say("Budgets and forecast", "Budgets et prévision")) }
            @for budget in budgets { (spending(budget, language)) }
        } }
    }
}

fn spending(budget: &Budget, language: Language) -> Markup {
    html! {
        p { b { bdi { (clean(&budget.name)) } } }
        (bar(&[(if budget.spent >= budget.limit { 4 } else { 0 }, budget.spent), (1, budget.reserved)], budget.limit))
        p.small {
            (language.money(budget.spent)) " " (language.say("of", "sur")) " " (language.money(budget.limit))
            @if budget.reserved > 0.0 {
                ", " (language.money(budget.reserved)) " " (language.say("reserved", "réservés"))
            }
            @if let Some(forecast) = budget.forecast {
                " · " (language.say("forecast", "prévision")) " " (language.money(forecast))
            }
            @if let Some(date) = &budget.exhausted {
                " · " (language.say("used up on", "épuisé le")) " " (language.date(date))
            }
            @if let Some(date) = &budget.ends {
                " · " (language.say("renews on", "renouvelé le")) " " (language.date(date))
            }
        }
    }
}

fn coverage(sources: &Sources, language: Language) -> Markup {
    let waiting = (sources.chunks - sources.embedded - sources.failed).max(0.0);
    let entry = |name: &str, chunks: f64| format!("{name} {}", language.count(chunks));
    html! {
        section {
            h2 { (language.say("Embeddings", "Vectorisation")) }
            p.small {
                (language.say("Sources: ", "Sources\u{a0}: ")) (language.count(sources.sources))
                (language.say(" · Chunks: ", " · Fragments\u{a0}: ")) (language.count(sources.chunks))
            }
            (bar(&[(2, sources.embedded), (4, sources.failed)], sources.chunks))
            (key(&[
                (2, &entry(language.say("embedded", "vectorisés"), sources.embedded)),
                (7, &entry(language.say("waiting", "en attente"), waiting)),
                (4, &entry(language.say("failed", "en échec"), sources.failed)),
            ]))
        }
    }
}
