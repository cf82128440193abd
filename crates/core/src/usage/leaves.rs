//! The numbers and short texts in a JSON value, with their paths.

use super::shapes::PLACES;
use serde_json::{Map, Value as Json, json};
use std::collections::HashSet;

/// Deeper values are no usage.
const MOST_LEVELS: usize = 12;
const MOST_ELEMENTS: usize = 1000;
const LONGEST_KEY: usize = 100;
const LONGEST_TEXT: usize = 200;

/// The texts that say of which kind the element of an array is, and the key of its count.
const LABELS: [(&str, &str); 3] = [
    ("ttl", "input_tokens"),
    ("modality", "token_count"),
    ("type", "token_count"),
];
const SEARCH: &str = "web_search_call";

/// How a leaf is reached.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Key(&'a str),
    /// An element of an array: the key that says its kind, and the kind.
    Element(Option<(&'a str, &'a str)>),
    /// As many elements like this one as the number says, in an array.
    Each(fn() -> Json),
}

#[derive(Debug, Clone)]
pub(super) struct Leaf<'a> {
    /// In snake_case, as in the table of shapes.
    pub(super) path: String,
    /// The same, as it was written.
    trail: Vec<Step<'a>>,
    pub(super) value: Value,
    /// The number of the place in which it lies. Places within `response` come after the others.
    pub(super) place: usize,
    /// Where the path within the place begins.
    start: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Text(String),
    /// Something else, or a number that is none.
    Other(bool),
}

impl Value {
    pub(super) fn of(json: &Json) -> Option<Value> {
        Some(match json {
            Json::Number(number) => number
                .as_f64()
                .filter(|number| number.is_finite())
                .map_or(Value::Other(false), Value::Number),
            Json::String(text) if text.len() <= LONGEST_TEXT => Value::Text(text.clone()),
            Json::Bool(is) => Value::Other(*is),
            _ => return None,
        })
    }

    /// The number, which some APIs write as text.
    pub(super) fn number(&self) -> Option<f64> {
        let number = match self {
            Value::Number(number) => *number,
            Value::Text(text) if text.bytes().any(|byte| byte.is_ascii_digit()) => {
                text.trim().parse().ok()?
            }
            _ => return None,
        };
        // There is one zero.
        number.is_finite().then_some(number + 0.0)
    }

    pub(super) fn to_json(&self) -> Json {
        match self {
            Value::Number(number) if number.fract() == 0.0 && number.abs() <= 1e15 => {
                Json::from(*number as i64)
            }
            Value::Number(number) => Json::from(*number),
            Value::Text(text) => text.as_str().into(),
            Value::Other(is) => (*is).into(),
        }
    }
}

impl<'a> Leaf<'a> {
    fn new(path: String, trail: Vec<Step<'a>>, value: Value) -> Self {
        let (place, rest) = place(&path);
        let start = path.len() - rest.len();
        Leaf {
            path,
            trail,
            value,
            place,
            start,
        }
    }

    /// The same leaf of a whole response, where the response is kept beside usage.
    pub(super) fn within_response(&self) -> Self {
        Leaf::new(
            format!("response.{}", self.path),
            self.trail.clone(),
            self.value.clone(),
        )
    }

    /// The path as it was written, for people.
    pub(super) fn name(&self) -> String {
        let mut name = String::new();
        for step in &self.trail {
            match step {
                Step::Key(key) => name = joined(&name, beginning(key, LONGEST_KEY)),
                Step::Element(label) => name += &format!("[{}]", kind(*label)),
                Step::Each(_) => {}
            }
        }
        name
    }

    /// Puts the value into an object, at the path that it came by. Each element of an array has one value there.
    pub(super) fn put(&self, object: &mut Map<String, Json>) {
        self.put_at(&self.trail, object);
    }

    fn put_at(&self, trail: &[Step<'_>], object: &mut Map<String, Json>) {
        let [Step::Key(key), rest @ ..] = trail else {
            return;
        };
        let Some((step, within)) = rest.split_first() else {
            object.insert((*key).into(), self.value.to_json());
            return;
        };
        let empty = || match step {
            Step::Key(_) => Map::new().into(),
            _ => Json::Array(Vec::new()),
        };
        match (step, object.entry(*key).or_insert_with(empty)) {
            (Step::Key(_), Json::Object(inner)) => self.put_at(rest, inner),
            (Step::Element(label), Json::Array(array)) => {
                let mut element: Map<String, Json> = label
                    .iter()
                    .map(|&(field, label)| (field.into(), label.into()))
                    .collect();
                self.put_at(within, &mut element);
                array.push(element.into());
            }
            (Step::Each(element), Json::Array(array)) => {
                let count = self.value.number().unwrap_or(0.0) as usize;
                array.extend(std::iter::repeat_with(element).take(count.min(MOST_ELEMENTS)));
            }
            // One key leads to one thing.
            _ => {}
        }
    }

    /// The path within the place.
    pub(super) fn rest(&self) -> &str {
        &self.path[self.start..]
    }

    /// Whether this may count tokens that cost something. Limits, rates and times do not.
    pub(super) fn looks_like_tokens(&self) -> bool {
        let key = last(&self.path);
        // The name of a place, such as token_usage, says nothing of what is in it.
        self.rest().contains("token")
            && !key.starts_with("max_")
            && !key.starts_with("time_")
            && !key.contains("per_sec")
            && self.value.number().is_some_and(|number| number != 0.0)
            && !key.ends_with("_limit")
    }
}

/// The place that is the object itself.
pub(super) const OBJECT: usize = 1;

/// The number of the place in which a path lies, and the rest of the path. Places within `response` come after the others.
fn place(path: &str) -> (usize, &str) {
    if !path.contains('.') {
        return (OBJECT, path);
    }
    let (first, inner) = match path.strip_prefix("response.") {
        Some(inner) => (PLACES.len(), inner),
        None => (0, path),
    };
    let within = |place: &str| match inner.strip_prefix(place)? {
        rest if place.is_empty() => Some(rest),
        rest => rest.strip_prefix('.'),
    };
    PLACES
        .iter()
        .enumerate()
        .filter_map(|(number, place)| Some((place.len(), number, within(place)?)))
        .max_by_key(|&(length, ..)| length)
        .map_or((first, inner), |(_, number, rest)| (first + number, rest))
}

/// The leaves of a value, at most `most`, and whether these are all of them.
pub(super) fn leaves(json: &Json, most: usize) -> (Vec<Leaf<'_>>, bool) {
    let mut walk = Walk {
        leaves: Vec::new(),
        trail: Vec::new(),
        most,
        is_whole: true,
    };
    if let Json::Object(object) = json {
        walk.object(object, "", 0);
    }
    (walk.leaves, walk.is_whole)
}

struct Walk<'a> {
    leaves: Vec<Leaf<'a>>,
    /// The way to where the walk is.
    trail: Vec<Step<'a>>,
    most: usize,
    is_whole: bool,
}

impl<'a> Walk<'a> {
    fn object(&mut self, object: &'a Map<String, Json>, path: &str, level: usize) {
        if level == MOST_LEVELS {
            return;
        }
        for (key, value) in object {
            // A path has no empty parts.
            let part = if key.is_empty() {
                "_"
            } else {
                beginning(key, LONGEST_KEY)
            };
            let path = joined(path, &snake(part));
            self.trail.push(Step::Key(key));
            match value {
                Json::Object(inner) => self.object(inner, &path, level + 1),
                Json::Array(array) => self.array(array, &path, level + 1, object),
                _ => self.leaf(path, value),
            }
            self.trail.pop();
        }
    }

    fn leaf(&mut self, path: String, json: &Json) {
        let Some(value) = Value::of(json) else { return };
        if self.leaves.len() < self.most {
            self.leaves.push(Leaf::new(path, self.trail.clone(), value));
        } else {
            self.is_whole = false;
        }
    }

    /// Adds up the numbers of elements that say that they are of the same kind.
    fn array(&mut self, array: &'a [Json], path: &str, level: usize, within: &'a Map<String, Json>) {
        if !is_walked(path) {
            return;
        }
        self.is_whole &= array.len() <= MOST_ELEMENTS;
        let array = &array[..array.len().min(MOST_ELEMENTS)];
        match last(path) {
            OUTPUT => return self.calls(array, path),
            CANDIDATES => return self.candidates(array, path, within),
            QUERIES => return self.queries(array.iter(), path.to_owned(), false),
            _ => {}
        }
        let start = self.leaves.len();
        for element in array {
            if let Json::Object(element) = element {
                self.element(element, path, level);
            }
        }
        let parts = self.leaves.split_off(start);
        for leaf in parts {
            let same = self.leaves[start..]
                .iter_mut()
                .find(|other| other.path == leaf.path);
            match same {
                Some(Leaf { value, .. }) => *value = sum(value, &leaf.value),
                None => self.leaves.push(leaf),
            }
        }
    }

    fn element(&mut self, element: &'a Map<String, Json>, path: &str, level: usize) {
        let fields = |name: &'static str| element.iter().filter(move |(key, _)| snake(key) == name);
        let text = |name| fields(name).find_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
        let label = LABELS
            .iter()
            .find_map(|&(name, count)| Some((text(name).filter(|(_, text)| !text.is_empty())?, count)));
        let kind = kind(label.map(|(label, _)| label));
        let path = format!("{path}[{kind}]");
        self.trail.push(Step::Element(label.map(|(label, _)| label)));
        // An element of Gemini, or of Bedrock, is one count. Others are objects.
        let count = label.and_then(|(_, count)| fields(count).find(|(_, value)| Value::of(value).is_some()));
        match count {
            Some((key, count)) => {
                self.trail.push(Step::Key(key));
                self.leaf(path, count);
                self.trail.pop();
            }
            None => self.object(element, &path, level),
        }
        self.trail.pop();
    }

    /// Counts the searches of an OpenAI response. To open a page, or to find in it, is no search.
    fn calls(&mut self, output: &[Json], path: &str) {
        let is_search = |item: &&Json| {
            item["type"] == SEARCH && (item["action"]["type"] == "search" || item["action"].is_null())
        };
        let calls = output.iter().filter(is_search).count();
        self.searches(calls, format!("{path}[{SEARCH}]"), || json!({"type": SEARCH}));
    }

    /// Counts the searches of a Gemini response, which say what they looked for.
    fn candidates(&mut self, candidates: &'a [Json], path: &str, response: &'a Map<String, Json>) {
        let found = candidates.iter().filter_map(|candidate| {
            let (metadata, inner) = field(candidate.as_object()?, "grounding_metadata")?;
            let (key, queries) = field(inner.as_object()?, QUERIES)?;
            Some((metadata, key, queries.as_array()?))
        });
        let found: Vec<_> = found.collect();
        let Some(&(metadata, key, _)) = found.first() else {
            return;
        };
        let model = field(response, "model_version").and_then(|(_, model)| model.as_str());
        let way = [Step::Element(None), Step::Key(metadata), Step::Key(key)];
        self.trail.extend(way);
        self.queries(
            found.iter().flat_map(|(.., queries)| queries.iter()),
            format!("{path}[].grounding_metadata.{QUERIES}"),
            model.is_some_and(bills_prompts),
        );
        self.trail.truncate(self.trail.len() - way.len());
    }

    /// Google bills each query once, and no empty ones; of older models, each answer that has some.
    fn queries(&mut self, queries: impl Iterator<Item = &'a Json>, path: String, by_answer: bool) {
        let (mut texts, mut count) = (HashSet::new(), 0);
        for query in queries {
            // A long text has been left out.
            let is_new = match query.as_str() {
                Some(text) => !text.is_empty() && texts.insert(text),
                None => query.is_null(),
            };
            count += usize::from(is_new);
        }
        let most = if by_answer { 1 } else { MOST_ELEMENTS };
        let count = count.min(most);
        self.searches(count, path, || Json::Null);
    }

    fn searches(&mut self, count: usize, path: String, each: fn() -> Json) {
        if count > 0 {
            self.trail.push(Step::Each(each));
            self.leaf(path, &count.into());
            self.trail.pop();
        }
    }
}

/// The value under a key, however that is written, and the key.
fn field<'a>(object: &'a Map<String, Json>, name: &str) -> Option<(&'a str, &'a Json)> {
    let (key, value) = object.iter().find(|(key, _)| snake(key) == name)?;
    Some((key, value))
}

/// Whether Google bills the searches of a model by the answer, and not by the query.
fn bills_prompts(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or_default();
    ["gemini-1", "gemini-2"].iter().any(|old| name.starts_with(old))
}

/// What an element of an array says that it is, as paths have it.
fn kind(label: Option<(&str, &str)>) -> String {
    let text = label.map_or("", |(_, text)| text);
    beginning(text, LONGEST_KEY)
        .to_lowercase()
        .replace(['.', '[', ']'], "_")
}

fn sum(left: &Value, right: &Value) -> Value {
    match (left.number(), right.number()) {
        // A number below zero shall not hide in the sum.
        (Some(left), Some(right)) if left >= 0.0 && right >= 0.0 => Value::Number(left + right),
        (Some(left), Some(right)) => Value::Number(left.min(right)),
        _ => left.clone(),
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// What an answer consists of, in OpenAI Responses; the answers of Gemini; and what Google was asked for them.
const OUTPUT: &str = "output";
const CANDIDATES: &str = "candidates";
const QUERIES: &str = "web_search_queries";

/// Whether an array under a path may have counts, or searches. Others hold what was said.
pub(super) fn is_walked(path: &str) -> bool {
    let key = last(path);
    key.contains("token")
        || [
            OUTPUT,
            CANDIDATES,
            QUERIES,
            "cache_details",
            "results",
            "iterations",
        ]
        .contains(&key)
}

/// The last part of a path.
fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or_default()
}

/// At most this many bytes of a text.
fn beginning(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// camelCase and kebab-case as snake_case.
pub(super) fn snake(key: &str) -> String {
    let mut snake = String::with_capacity(key.len() + 4);
    let mut after_small = false;
    for character in key.chars() {
        if character.is_ascii_uppercase() && after_small {
            snake.push('_');
        }
        after_small = character.is_ascii_lowercase() || character.is_ascii_digit();
        snake.push(if character == '-' {
            '_'
        } else {
            character.to_ascii_lowercase()
        });
    }
    snake
}
