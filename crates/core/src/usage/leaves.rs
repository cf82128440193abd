//! The numbers and short texts in a JSON value, with their paths.

use super::shapes::PLACES;
use serde_json::{Map, Value as Json};

/// Deeper values are no usage.
const MOST_LEVELS: usize = 12;
const MOST_ELEMENTS: usize = 1000;
const LONGEST_KEY: usize = 100;
const LONGEST_TEXT: usize = 200;

#[derive(Debug, Clone)]
pub(super) struct Leaf {
    /// In snake_case, as in the table of shapes.
    pub(super) path: String,
    /// The same, as it was written.
    pub(super) name: String,
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

impl Leaf {
    fn new(path: String, name: String, value: Value) -> Leaf {
        let (place, rest) = place(&path);
        let start = path.len() - rest.len();
        Leaf {
            path,
            name,
            value,
            place,
            start,
        }
    }

    /// The path within the place.
    pub(super) fn rest(&self) -> &str {
        &self.path[self.start..]
    }

    /// Whether this may count tokens that cost something. Limits, rates and times do not.
    pub(super) fn looks_like_tokens(&self) -> bool {
        let key = self.path.rsplit('.').next().unwrap_or_default();
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
pub(super) fn leaves(json: &Json, most: usize) -> (Vec<Leaf>, bool) {
    let mut walk = Walk {
        leaves: Vec::new(),
        most,
        is_whole: true,
    };
    if let Json::Object(object) = json {
        walk.object(object, "", "", 0);
    }
    (walk.leaves, walk.is_whole)
}

struct Walk {
    leaves: Vec<Leaf>,
    most: usize,
    is_whole: bool,
}

impl Walk {
    fn object(&mut self, object: &Map<String, Json>, path: &str, name: &str, level: usize) {
        if level == MOST_LEVELS {
            return;
        }
        for (key, value) in object {
            // A path has no empty parts.
            let key = if key.is_empty() {
                "_"
            } else {
                beginning(key, LONGEST_KEY)
            };
            let (path, name) = (joined(path, &snake(key)), joined(name, key));
            match value {
                Json::Object(inner) => self.object(inner, &path, &name, level + 1),
                Json::Array(array) => self.array(array, &path, &name, level + 1),
                _ => self.leaf(path, name, value),
            }
        }
    }

    fn leaf(&mut self, path: String, name: String, json: &Json) {
        let Some(value) = Value::of(json) else { return };
        if self.leaves.len() < self.most {
            self.leaves.push(Leaf::new(path, name, value));
        } else {
            self.is_whole = false;
        }
    }

    /// Adds up the numbers of elements that say that they are of the same kind.
    fn array(&mut self, array: &[Json], path: &str, name: &str, level: usize) {
        let key = path.rsplit('.').next().unwrap_or_default();
        if key == "output" {
            return self.searches(array, path, name);
        }
        if !has_counts(key) {
            return;
        }
        self.is_whole &= array.len() <= MOST_ELEMENTS;
        let start = self.leaves.len();
        for element in array.iter().take(MOST_ELEMENTS) {
            let Json::Object(element) = element else { continue };
            self.element(element, path, name, level);
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

    fn element(&mut self, element: &Map<String, Json>, path: &str, name: &str, level: usize) {
        let field = |names: &[&str]| {
            element
                .iter()
                .find(|(key, _)| names.contains(&snake(key).as_str()))
                .map(|(_, value)| value)
        };
        let label = field(&["modality", "ttl", "type"])
            .and_then(Json::as_str)
            .unwrap_or("");
        let label = beginning(label, LONGEST_KEY)
            .to_lowercase()
            .replace(['.', '[', ']'], "_");
        let (path, name) = (format!("{path}[{label}]"), format!("{name}[{label}]"));
        // An element of Gemini, or of Bedrock, is one count. Others are objects.
        let count = match field(&["ttl"]) {
            Some(_) => field(&["input_tokens"]),
            None => field(&["token_count"]),
        };
        match count {
            Some(count) if !label.is_empty() => self.leaf(path, name, count),
            _ => self.object(element, &path, &name, level),
        }
    }

    /// Counts the searches of an OpenAI response. To open a page, or to find in it, is no search.
    fn searches(&mut self, output: &[Json], path: &str, name: &str) {
        let is_search = |item: &&Json| {
            item["type"] == "web_search_call"
                && (item["action"]["type"] == "search" || item["action"].is_null())
        };
        let searches = output.iter().filter(is_search).count();
        if searches > 0 {
            let of = |text: &str| format!("{text}[web_search_call]");
            self.leaf(of(path), of(name), &searches.into());
        }
    }
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

/// Whether an array under a key may have counts. Others hold what was said.
pub(super) fn has_counts(key: &str) -> bool {
    key.contains("token") || ["cache_details", "results", "iterations"].contains(&key)
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
