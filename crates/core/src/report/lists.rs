//! The sections without charts.

use super::data::{Budget, Report, Sources, State, Step};
use super::figures::{key, nothing, shade};
use super::format::{Language, clean};
use maud::{Markup, html};

pub(super) fn steps(steps: &[Step], language: Language) -> Markup {
    html! {
        section {
            h2 { (language.say("Steps that cost most", "Étapes les plus chères")) }
            @if steps.is_empty() { (nothing(language)) } @else { div.wide { table {
                thead { tr {
                    th scope="col" { (language.say("Step", "Étape")) }
                    th scope="col" { (language.say("Attempts", "Essais")) }
                    th scope="col" { (language.say("Failed", "Échecs")) }
                    th scope="col" { "p95" }
                    th scope="col" { (language.say("Cost", "Coût")) }
                } }
                tbody { @for step in steps { tr {
                    th scope="row" { bdi { (clean(&step.name)) } }
                    td { (language.count(step.calls)) }
                    td { (language.count(step.failed)) }
                    td { (step.p95.map_or("–".into(), |latency| language.duration(latency))) }
                    td { (language.known_money(step.cost)) }
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

/// The budgets, in the periods that run now: those of the page have no forecast.
pub(super) fn budgets(report: &Report, language: Language) -> Markup {
    let others = report.budget_count - report.budgets.len() as f64;
    html! {
        @if !report.budgets.is_empty() { section {
            h2 { (language.say("Budgets and forecast", "Budgets et prévision")) }
            @for budget in &report.budgets { (spending(budget, language)) }
            @if others > 0.0 {
                p.small { (language.say("Budgets not shown: ", "Budgets non affichés\u{a0}: ")) (language.count(others)) }
            }
        } }
    }
}

fn spending(budget: &Budget, language: Language) -> Markup {
    let color = match budget.state {
        State::Ok => 0,
        State::Warning => 1,
        State::Exhausted => 4,
    };
    html! {
        p {
            b { bdi { (clean(&budget.name)) } }
            @for part in &budget.scope { " · " bdi { (clean(part)) } }
            @if !budget.is_hard { " · " (language.say("only warns", "avertit seulement")) }
        }
        (bar(&[(color, budget.spent), (7, budget.reserved)], budget.limit))
        p.small {
            (language.money(budget.spent)) " " (language.say("of", "sur")) " " (language.money(budget.limit))
            @if budget.reserved > 0.0 {
                ", " (language.money(budget.reserved)) " " (language.say("reserved", "réservés"))
            }
            @for fact in facts(budget, language) { " · " (fact) }
        }
    }
}

fn facts(budget: &Budget, language: Language) -> Vec<String> {
    let date =
        |english, french, date: &String| format!("{} {}", language.say(english, french), language.date(date));
    let exhausted = (budget.state == State::Exhausted).then(|| language.say("used up", "épuisé").to_owned());
    let unpriced = (budget.unpriced > 0.0).then(|| {
        let calls = language.say("calls without a known price:", "appels sans prix connu\u{a0}:");
        format!("{calls} {}", language.count(budget.unpriced))
    });
    let forecast = budget.forecast.map(|forecast| {
        let name = language.say("forecast", "prévision\u{a0}:");
        format!("{name} {}", language.money(forecast))
    });
    let will_be = budget.exhausted.as_ref();
    let will_be = will_be.map(|day| date("will be used up on", "sera épuisé le", day));
    let ends = budget.ends.as_ref();
    let ends = ends.map(|day| date("renews on", "renouvelé le", day));
    [exhausted, unpriced, forecast, will_be, ends]
        .into_iter()
        .flatten()
        .collect()
}

pub(super) fn coverage(sources: &Sources, language: Language) -> Markup {
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
