//! What one usage object says, with cached and reasoning tokens inside of the totals.

use super::leaves::Leaf;
use super::shapes::{IMITATED, Part, Shape, Where};
use super::{Notes, key_of};

/// So many tokens at most, which keeps sums exact.
pub(super) const MOST: f64 = 1e15;
/// Sums of dollars in a ten thousandth of a millionth of a dollar.
const TICKS_PER_DOLLAR: f64 = 1e10;

#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    values: Vec<(Part, f64)>,
    /// The totals as they were reported, where cached or reasoning tokens are outside of them.
    pub(super) reported: [Option<f64>; 2],
    pub(super) provider_cost: Option<f64>,
}

const TOTALS: [(Part, &str); 2] = [(Part::Input, "input tokens"), (Part::Output, "output tokens")];

impl Reading {
    pub(super) fn get(&self, part: Part) -> Option<f64> {
        self.values
            .iter()
            .find(|(other, _)| *other == part)
            .map(|&(_, value)| value)
    }

    pub(super) fn count(&self, part: Part) -> f64 {
        self.get(part).unwrap_or(0.0)
    }

    pub(super) fn put(&mut self, part: Part, value: Option<f64>) {
        self.values.retain(|(other, _)| *other != part);
        self.values.extend(value.map(|value| (part, value)));
    }

    pub(super) fn of(shape: &Shape, leaves: &[(&str, &Leaf)], notes: &mut Notes) -> Reading {
        let mut reading = Reading::default();
        for &(path, leaf) in leaves {
            let Some(part) = key_of(Some(shape), path) else {
                continue;
            };
            match value(part, leaf) {
                Some(value) => reading.set(part, value, leaf, notes),
                None if part == Part::Contained => {}
                None if matches!(part, Part::Cost | Part::MoreCost | Part::CostTicks) => {
                    notes.note(format!("{} is not a sum of money.", leaf.name()));
                }
                None => notes.doubt(format!("{} is not a number of tokens or units.", leaf.name())),
            }
        }
        reading.provider_cost = reading.cost(leaves);
        reading.close(shape, notes);
        reading
    }

    /// A value under several keys must be the same. Some libraries write 0 where they know nothing.
    fn set(&mut self, part: Part, value: f64, leaf: &Leaf, notes: &mut Notes) {
        match self.get(part) {
            Some(other) if other != 0.0 && value != 0.0 && other != value && part != Part::Contained => {
                let name = leaf.name();
                notes.doubt(format!("{name} is {value}, but another key says {other}."));
            }
            Some(other) if other != 0.0 => {}
            _ => self.put(part, Some(value)),
        }
    }

    fn cost(&self, leaves: &[(&str, &Leaf)]) -> Option<f64> {
        let is_own_key = leaves
            .iter()
            .any(|(path, leaf)| *path == "is_byok" && leaf.value == super::Value::Other(true));
        let ticks = self.get(Part::CostTicks).map(|ticks| ticks / TICKS_PER_DOLLAR);
        let cost = self.get(Part::Cost).or(ticks)?;
        Some(if is_own_key {
            cost + self.count(Part::MoreCost)
        } else {
            cost
        })
    }

    /// What was written to caches, of all lifetimes.
    pub(super) fn written(&self) -> f64 {
        let by_lifetime =
            [Part::CacheWrite5m, Part::CacheWrite1h, Part::CacheWrite12h].map(|part| self.count(part));
        self.count(Part::CacheWrite).max(by_lifetime.iter().sum())
    }

    /// Makes the totals contain cached and reasoning tokens.
    fn close(&mut self, shape: &Shape, notes: &mut Notes) {
        for (part, more) in [
            (Part::Input, Part::MoreInput),
            (Part::Output, Part::MoreOutput),
            (Part::CacheRead, Part::MoreCacheRead),
            (Part::CacheWrite, Part::MoreCacheWrite),
            (Part::CacheWrite1h, Part::MoreCacheWrite1h),
        ] {
            if let Some(more) = self.get(more).filter(|&more| more > 0.0) {
                self.put(part, Some(self.count(part) + more));
            }
        }
        let cached = self.count(Part::CacheRead) + self.written();
        if self.get(Part::Input).is_none()
            && let Some(uncached) = self.get(Part::Uncached)
        {
            self.put(Part::Input, Some(uncached + cached));
        }
        self.reported = TOTALS.map(|(part, _)| self.get(part));
        let [input, output] = self.inclusive(shape, cached, notes);
        self.put(Part::Input, input);
        self.put(Part::Output, output);
    }

    /// The totals with cached and reasoning tokens. A sum of all tokens decides where they were counted, if shape and sum do not
    /// agree.
    fn inclusive(&self, shape: &Shape, cached: f64, notes: &mut Notes) -> [Option<f64>; 2] {
        let [input, output] = self.reported;
        let reasoning = self.count(Part::Reasoning);
        let totals = |cached_at: Where, reasoning_at: Where| {
            let more = |at: Where, count: f64| if at == Where::Outside { count } else { 0.0 };
            let output = match output {
                None if reasoning_at == Where::Outside && reasoning > 0.0 => Some(reasoning),
                _ => output.map(|output| output + more(reasoning_at, reasoning)),
            };
            [input.map(|input| input + more(cached_at, cached)), output]
        };
        let usual = totals(shape.cached, shape.reasoning);
        let Some(total) = self.get(Part::Total) else {
            return usual;
        };
        // What is billed by the second has tokens that no key counts.
        if input.is_none() && output.is_none() || self.count(Part::Seconds) > 0.0 {
            return usual;
        }
        let sum = |[input, output]: [Option<f64>; 2]| input.unwrap_or(0.0) + output.unwrap_or(0.0);
        let fits =
            |totals: [Option<f64>; 2]| sum(totals) == total && totals[0].is_none_or(|input| cached <= input);
        if fits(usual) || shape.cached == Where::Outside && sum(self.reported) == total {
            return usual;
        }
        let places = [Where::Inside, Where::Outside];
        let other = places
            .iter()
            .flat_map(|&cached_at| places.map(|reasoning_at| totals(cached_at, reasoning_at)))
            .find(|&totals| IMITATED.contains(&shape.name) && fits(totals));
        // The caller may know the rest of a sum.
        let is_known = input.is_some() && output.is_some();
        if other.is_none() && is_known && sum(usual) != total {
            let parts = sum(usual);
            notes.doubt(format!(
                "usage says {total} tokens in all, but its parts make {parts}."
            ));
        }
        other.unwrap_or(usual)
    }

    pub(super) fn has_totals_of(&self, other: &Reading) -> bool {
        TOTALS.iter().all(|&(part, _)| self.get(part) == other.get(part))
    }

    /// Adds what another source says.
    pub(super) fn add(&mut self, other: Reading, notes: &mut Notes) {
        for (number, (part, name)) in TOTALS.into_iter().enumerate() {
            let (Some(mine), Some(theirs)) = (self.get(part), other.get(part)) else {
                continue;
            };
            // A library may have passed on a total without what is outside of it.
            let is_same = mine == theirs || Some(mine) == other.reported[number];
            if is_same || mine == 0.0 {
                self.put(part, Some(theirs));
                self.reported[number] = other.reported[number];
            } else if theirs != 0.0 && Some(theirs) != self.reported[number] {
                notes.doubt(format!(
                    "One part of usage says {mine} {name}, another says {theirs}."
                ));
            }
        }
        for (part, theirs) in other.values {
            let mine = self.count(part);
            if mine == 0.0 {
                self.put(part, Some(theirs));
            } else if let Some(name) = name(part).filter(|_| theirs != 0.0 && theirs != mine) {
                notes.doubt(format!(
                    "One part of usage says {mine} {name}, another says {theirs}."
                ));
            }
        }
        for number in 0..2 {
            self.reported[number] = self.reported[number].or(other.reported[number]);
        }
        self.provider_cost = self.provider_cost.or(other.provider_cost);
    }
}

/// Words for a count, if two sources that differ in it contradict each other. Totals are compared by themselves.
fn name(part: Part) -> Option<&'static str> {
    Some(match part {
        Part::CacheRead => "tokens read from a cache",
        Part::CacheWrite => "tokens written to a cache",
        Part::CacheWrite5m => "tokens cached for 5 minutes",
        Part::CacheWrite1h => "tokens cached for an hour",
        Part::CacheWrite12h => "tokens cached for 12 hours",
        Part::InputAudio | Part::OutputAudio | Part::CacheReadAudio => "audio tokens",
        Part::InputImage | Part::OutputImage | Part::CacheReadImage => "image tokens",
        Part::InputVideo | Part::CacheReadVideo => "video tokens",
        Part::Reasoning => "reasoning tokens",
        Part::WebSearches => "searches",
        Part::Images => "images",
        Part::Seconds => "seconds",
        Part::Characters => "characters",
        Part::Pages => "pages",
        Part::Queries => "queries",
        _ => return None,
    })
}

/// A count of tokens or units, or a sum of money.
fn value(part: Part, leaf: &Leaf) -> Option<f64> {
    let value = leaf.value.number().filter(|value| (0.0..=MOST).contains(value))?;
    let is_whole = value.fract() == 0.0 || matches!(part, Part::Seconds | Part::Cost | Part::MoreCost);
    is_whole.then_some(value)
}
