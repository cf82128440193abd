//! What a call of a model used, from whatever its API or a library reports: usage objects, whole responses, attributes of traces.
//!
//! [`Usage::read`] never fails. What cannot be read, or is said twice and differently, becomes a note, and then the cost is not
//! known. [`shapes`] lists the forms that are known.

mod counts;
mod leaves;
mod reading;
pub mod shapes;
#[cfg(test)]
mod tests;

use crate::jsonb::to_json;
use leaves::{Leaf, Value, leaves};
use reading::Reading;
use serde_json::{Map, Number, json};
use shapes::{BATCH, CHOICES, OWN, PLACES, Part, SHAPES, Shape};
use std::collections::HashSet;
use std::sync::LazyLock;

/// What a call used.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Usage {
    /// With what was read from and written to caches; audio, image and video tokens.
    pub tokens_input: Option<f64>,
    /// With reasoning, audio and image tokens.
    pub tokens_output: Option<f64>,
    /// Counts by the unit of a price. Each token is in one of them. None is zero.
    pub counts: Vec<(&'static str, f64)>,
    /// What else the price depends on, such as the service tier; and the model.
    pub choices: Vec<(&'static str, String)>,
    /// US dollars that the provider says the call cost.
    pub provider_cost: Option<f64>,
    /// Why a number is missing or in doubt.
    pub notes: Vec<String>,
    /// Whether the counts cannot be priced, because sources disagree or something is not known.
    pub conflict: bool,
}

/// Usage lies less deep than this in any response.
const LEVELS: usize = 16;
const MOST_VALUES: usize = 100_000;
/// The values of an object, at most.
const MOST_LEAVES: usize = 4000;
/// What is kept of usage that is too large, at most.
const MOST_KEPT: usize = 200;
const MOST_NOTES: usize = 10;

impl Usage {
    /// [`Usage::read`] of the bytes of a jsonb value after its length.
    pub fn of_jsonb(jsonb: &[u8], tokens_input: Option<u64>, tokens_output: Option<u64>) -> Usage {
        Usage::read(&of_jsonb(jsonb), tokens_input, tokens_output)
    }

    /// Reads `given`, and compares it with the tokens that the caller counted. A count of 0 gives way to another one.
    pub fn read(given: &serde_json::Value, tokens_input: Option<u64>, tokens_output: Option<u64>) -> Usage {
        let (leaves, is_whole) = leaves_of(given);
        let mut notes = Notes::default();
        if !given.is_object() {
            notes.doubt("usage is not an object.".into());
        } else if !is_whole {
            notes.doubt("usage has too many values.".into());
        }
        let reading = combined(&leaves, &mut notes);
        let mut usage = counts::of(reading, [tokens_input, tokens_output], &mut notes);
        unknown_fees(&leaves, &usage, &mut notes);
        usage.choices = choices(&leaves, usage.provider_cost.is_some(), &mut notes);
        usage.notes = notes.texts;
        usage.conflict = notes.in_doubt;
        usage
    }

    /// As JSON, for SQL.
    pub fn to_json(&self) -> serde_json::Value {
        let counts = self
            .counts
            .iter()
            .map(|&(unit, count)| (unit.into(), number(count)));
        let mut json = json!({
            "tokens_input": self.tokens_input.map(number),
            "tokens_output": self.tokens_output.map(number),
            "counts": counts.collect::<Map<_, _>>(),
            "notes": self.notes,
            "conflict": self.conflict,
        });
        for (name, value) in &self.choices {
            json[name] = value.as_str().into();
        }
        if let Some(cost) = self.provider_cost {
            // Text keeps the digits as they were.
            json["provider_cost_usd"] = cost.to_string().into();
        }
        json
    }
}

/// Whole numbers without a fraction, as JSON has them.
fn number(value: f64) -> serde_json::Value {
    if value.fract() == 0.0 {
        (value as u64).into()
    } else {
        Number::from_f64(value).into()
    }
}

/// The values that [`Usage::read`] reads of `given`, at the paths and in the order that they came in; elements of arrays of the same
/// kind added up. It reads the same from this, also where this stands under `response` beside other usage. What is too large says
/// that tokens were left out.
pub fn known(given: &serde_json::Value) -> serde_json::Value {
    let (mut kept, is_whole) = leaves(given, MOST_LEAVES);
    kept.retain(|leaf| is_read(leaf) || is_read(&leaf.within_response()));
    let is_whole = is_whole && kept.len() <= MOST_KEPT;
    let mut object = Map::new();
    for leaf in kept.iter().take(MOST_KEPT) {
        leaf.put(&mut object);
    }
    if !is_whole {
        object.insert("tokens_left_out".into(), 1.into());
    }
    object.into()
}

/// [`known`] of the bytes of a jsonb value after its length.
pub fn known_of_jsonb(jsonb: &[u8]) -> serde_json::Value {
    known(&of_jsonb(jsonb))
}

/// As much of a jsonb value as usage can be. What was left out may have been tokens.
fn of_jsonb(jsonb: &[u8]) -> serde_json::Value {
    let wants = |key: &str| leaves::is_walked(&leaves::snake(key));
    let (mut given, is_whole) = to_json(jsonb, LEVELS, MOST_VALUES, wants);
    if !is_whole && let Some(object) = given.as_object_mut() {
        object.insert("tokens_left_out".into(), 1.into());
    }
    given
}

/// The leaves that can matter, and whether these are all.
fn leaves_of(given: &serde_json::Value) -> (Vec<Leaf<'_>>, bool) {
    let (mut leaves, is_whole) = leaves(given, MOST_LEAVES);
    leaves.retain(is_read);
    (leaves, is_whole)
}

fn is_read(leaf: &Leaf) -> bool {
    static KEYS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
        let keys = SHAPES.iter().flat_map(|shape| shape.keys).chain(OWN);
        let choices = CHOICES.iter().flat_map(|(_, paths)| *paths);
        keys.map(|(key, _)| key)
            .chain(choices)
            .copied()
            .chain(["is_byok", "custom_id"])
            .collect()
    });
    let rest = leaf.rest();
    KEYS.contains(rest)
        || KEYS.contains(leaf.path.as_str())
        || leaf.looks_like_tokens()
        || rest.contains('[') && key_of(None, rest).is_some()
}

/// Sentences for people.
#[derive(Debug, Default)]
struct Notes {
    texts: Vec<String>,
    in_doubt: bool,
}

impl Notes {
    fn note(&mut self, text: String) {
        if self.texts.len() < MOST_NOTES && !self.texts.contains(&text) {
            self.texts.push(text);
        }
    }

    /// A note because of which the counts cannot be priced.
    fn doubt(&mut self, text: String) {
        self.in_doubt = true;
        self.note(text);
    }
}

/// What all places together say.
fn combined(leaves: &[Leaf], notes: &mut Notes) -> Reading {
    let mut places: Vec<Vec<(&str, &Leaf)>> = vec![Vec::new(); 2 * PLACES.len()];
    for leaf in leaves {
        places[leaf.place].push((leaf.rest(), leaf));
    }
    let found: Vec<_> = PLACES
        .iter()
        .cycle()
        .zip(&places)
        .filter_map(|(place, leaves)| Some((*place, shape_of(place, leaves)?, leaves)))
        .collect();
    let mut whole = Reading::default();
    let mut steps_together = false;
    for &(place, shape, leaves) in &found {
        let reading = Reading::of(shape, leaves, notes);
        // All steps together are the call. What the last step used is not.
        if steps_together && !reading.has_totals_of(&whole) {
            continue;
        }
        steps_together |= place.ends_with("total_usage");
        // In a response stands more than usage.
        if !place.is_empty() || shape.name != "matrice" || found.len() == 1 {
            unknown_tokens(shape, leaves, notes);
        }
        whole.add(reading, notes);
    }
    if found.is_empty() {
        unknown_tokens(&SHAPES[SHAPES.len() - 1], &places.concat(), notes);
    }
    whole
}

/// The shape of the usage in a place; none if there is no usage.
fn shape_of(place: &str, leaves: &[(&str, &Leaf)]) -> Option<&'static Shape> {
    let has = |mark: &str| {
        leaves
            .iter()
            .any(|&(path, _)| matches(mark, path) || under(mark, path))
    };
    let is_of = |shape: &&Shape| {
        let has_key = || {
            leaves
                .iter()
                .any(|&(path, _)| key_of(Some(shape), path).is_some())
        };
        place.ends_with(shape.within)
            && if shape.marks.is_empty() {
                has_key()
            } else {
                shape.marks.iter().any(|mark| has(mark))
            }
    };
    SHAPES.iter().find(is_of)
}

/// Whether a path is that of a key.
fn matches(key: &str, path: &str) -> bool {
    // Most paths lead through no array.
    if key == path || !path.contains('[') {
        return key == path;
    }
    if let Some(start) = key.strip_suffix('*') {
        return path.starts_with(start);
    }
    key.split_once("[]").is_some_and(|(start, end)| {
        path.strip_prefix(start)
            .and_then(|rest| rest.strip_prefix('['))
            .and_then(|rest| rest.split_once(']'))
            .is_some_and(|(_, rest)| rest == end)
    })
}

/// Whether a path leads through a key.
fn under(key: &str, path: &str) -> bool {
    path.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'))
}

/// What a path counts, in one shape or in any.
fn key_of(shape: Option<&Shape>, path: &str) -> Option<Part> {
    let find = |keys: &[(&str, Part)]| {
        keys.iter()
            .find(|(key, _)| matches(key, path))
            .map(|&(_, part)| part)
    };
    match shape {
        Some(shape) => find(shape.keys),
        None => SHAPES.iter().find_map(|shape| find(shape.keys)),
    }
    .or_else(|| find(OWN))
}

/// Notes what counts tokens under keys that are not known. A part of a count that is known has the price of that count. Other
/// tokens have none.
fn unknown_tokens(shape: &Shape, leaves: &[(&str, &Leaf)], notes: &mut Notes) {
    let unknown = |is_part: bool| {
        let keys = leaves.iter().filter(|(path, leaf)| {
            leaf.looks_like_tokens()
                && key_of(Some(shape), path).is_none()
                && (!shape.keys.is_empty() && is_detail(path)) == is_part
        });
        let names: Vec<String> = keys.take(10).map(|(_, leaf)| leaf.name()).collect();
        names.join(", ")
    };
    let (parts, others) = (unknown(true), unknown(false));
    if !parts.is_empty() {
        notes.note(format!(
            "Parts of a count are not known, and have its price: {parts}."
        ));
    }
    if !others.is_empty() {
        notes.doubt(format!("Tokens under these keys have no known price: {others}."));
    }
}

/// Whether a key is a part of a count, such as `completion_tokens_details.new_tokens`.
fn is_detail(path: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(parent, _)| parent == "details" || parent.ends_with("_details"))
}

/// Notes that tools of Gemini were used if nobody says which. A search costs more than most answers.
fn unknown_fees(leaves: &[Leaf], usage: &Usage, notes: &mut Notes) {
    let has_searches = usage.counts.iter().any(|&(unit, _)| unit == "web_search");
    let used_tools = |leaf: &Leaf| {
        leaf.rest() == "tool_use_prompt_token_count" && leaf.value.number().is_some_and(|count| count > 0.0)
    };
    if !has_searches && leaves.iter().any(used_tools) {
        notes.note("Tools were used. What a search costs beside tokens is not in the cost.".into());
    }
}

fn choices(leaves: &[Leaf], has_cost: bool, notes: &mut Notes) -> Vec<(&'static str, String)> {
    let mut chosen = Vec::new();
    for &(name, paths) in CHOICES {
        if name == "service_tier" && is_of_batch(leaves) {
            chosen.push((name, "batch".into()));
            continue;
        }
        let found = paths.iter().find_map(|path| {
            leaves
                .iter()
                .find(|leaf| leaf.path == *path || leaf.rest() == *path)
        });
        let Some(leaf) = found else {
            let tier = tier_of_keys(leaves).filter(|_| name == "service_tier");
            chosen.extend(tier.map(|tier| (name, tier.to_owned())));
            continue;
        };
        let Value::Text(text) = &leaf.value else {
            if name != "model" && name != "provider" {
                notes.doubt(format!("{} is not a text.", leaf.name()));
            }
            continue;
        };
        let text = text.trim();
        // A router names whom it chose, but charges itself.
        if text.is_empty() || name == "provider" && has_cost {
            continue;
        }
        let value = match name {
            "model" => text.to_owned(),
            "service_tier" => tier(text, notes),
            _ => text.to_lowercase(),
        };
        chosen.push((name, value));
    }
    chosen
}

/// Whether this is a line of the results of an OpenAI batch. Its service tier is that of a call of its own.
fn is_of_batch(leaves: &[Leaf]) -> bool {
    leaves.iter().any(|leaf| leaf.rest() == "custom_id")
        && leaves
            .iter()
            .any(|leaf| leaf.place >= PLACES.len() && PLACES[leaf.place - PLACES.len()] == BATCH)
}

/// The service tier that LangChain writes before the names of counts.
fn tier_of_keys(leaves: &[Leaf]) -> Option<&'static str> {
    ["flex", "priority"].into_iter().find(|tier| {
        let key = format!("put_token_details.{tier}");
        leaves.iter().any(|leaf| leaf.path.contains(&key))
    })
}

/// A service tier; Vertex AI's types of traffic have names of their own.
fn tier(text: &str, notes: &mut Notes) -> String {
    let tier = text.to_lowercase();
    match tier.as_str() {
        "on_demand" | "traffic_type_unspecified" => "standard".into(),
        "on_demand_priority" => "priority".into(),
        "on_demand_flex" => "flex".into(),
        "on_demand_offpeak" => "off_peak".into(),
        "provisioned_throughput" => {
            notes.doubt("Provisioned throughput is not billed by tokens.".into());
            tier
        }
        _ => tier,
    }
}
