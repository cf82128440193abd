//! The page itself.

use super::chart::{GRID, INK, SHADES, Shade};
use super::data::Report;
use super::figures::{costs, latencies, runs, tokens};
use super::format::{Language, clean};
use super::lists::{budgets, coverage, steps};
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
                        (budgets(report, language))
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
    css.push_str(
        "}\n@media screen and (prefers-color-scheme:dark){:root{--page:#12151A;--card:#1B2027;--text:#E8EBEF",
    );
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
            (tile(language.say("Cost", "Coût"), language.known_money(report.cost()), unpriced))
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
