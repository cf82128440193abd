//! Counts by the unit of a price.

use super::reading::{MOST, Reading};
use super::shapes::Part;
use super::{Notes, Usage};

/// Compares a reading with what the caller counted, and makes disjoint counts of it.
pub(super) fn of(mut reading: Reading, given: [Option<u64>; 2], notes: &mut Notes) -> Usage {
    let parts = [(Part::Input, "tokens_input"), (Part::Output, "tokens_output")];
    for (number, (part, argument)) in parts.into_iter().enumerate() {
        let agreed = agreed(
            given[number],
            &reading,
            part,
            reading.reported[number],
            argument,
            notes,
        );
        reading.put(part, agreed);
    }
    if let (None, None, Some(total)) = (
        reading.get(Part::Input),
        reading.get(Part::Output),
        reading.get(Part::Total),
    ) {
        // Embeddings have no output.
        reading.put(Part::Input, Some(total));
    }
    check_total(&reading, notes);
    let mut counts = Counts(Vec::new());
    counts.input(&reading, notes);
    counts.output(&reading, notes);
    for (unit, part) in [
        ("web_search", Part::WebSearches),
        ("image", Part::Images),
        ("second", Part::Seconds),
        ("character", Part::Characters),
        ("page", Part::Pages),
        ("query", Part::Queries),
    ] {
        counts.add(unit, reading.count(part));
    }
    if reading.get(Part::Input).is_none() && !counts.are_of_units_only() {
        notes.doubt("The number of input tokens is not known.".into());
    }
    Usage {
        tokens_input: reading.get(Part::Input),
        tokens_output: reading.get(Part::Output),
        counts: counts.0,
        provider_cost: reading.provider_cost,
        ..Usage::default()
    }
}

/// The total of the caller and of usage.
fn agreed(
    given: Option<u64>,
    reading: &Reading,
    part: Part,
    reported: Option<f64>,
    argument: &str,
    notes: &mut Notes,
) -> Option<f64> {
    let read = reading.get(part);
    let given = given.map(|given| given as f64);
    if given.is_some_and(|given| given > MOST) {
        notes.doubt(format!("{argument} is too large."));
        return read;
    }
    match (given, read) {
        (Some(given), Some(read)) if given != 0.0 && given != read => {
            // The caller passed on what the API reports, without what is outside of it.
            if Some(given) == reported || read == 0.0 {
                return Some(given.max(read));
            }
            notes.doubt(format!("{argument} is {given}, but usage says {read}."));
            Some(given)
        }
        (given, read) => read.filter(|&read| read != 0.0).or(given).or(read),
    }
}

/// The caller's tokens and a sum of usage.
fn check_total(reading: &Reading, notes: &mut Notes) {
    let (Some(total), None, None) = (reading.get(Part::Total), reading.reported[0], reading.reported[1])
    else {
        return;
    };
    let sum = reading.count(Part::Input) + reading.count(Part::Output);
    if sum != total {
        notes.doubt(format!(
            "usage says {total} tokens in all, but tokens_input and tokens_output make {sum}."
        ));
    }
}

/// Counts that are not zero.
struct Counts(Vec<(&'static str, f64)>);

impl Counts {
    fn add(&mut self, unit: &'static str, count: f64) {
        if count > 0.0 {
            self.0.push((unit, count));
        }
    }

    /// Whether nothing counts tokens.
    fn are_of_units_only(&self) -> bool {
        self.0
            .iter()
            .all(|(unit, _)| ["web_search", "image", "second", "character", "page", "query"].contains(unit))
    }

    fn input(&mut self, reading: &Reading, notes: &mut Notes) {
        let (read, written) = (reading.count(Part::CacheRead), reading.written());
        let heard = reading.count(Part::CacheReadAudio).min(read);
        let [hour, half_day] = [Part::CacheWrite1h, Part::CacheWrite12h].map(|part| reading.count(part));
        self.add("cache_read", read - heard);
        self.add("cache_read_audio", heard);
        self.add("cache_write", written - hour - half_day);
        self.add("cache_write_1h", hour);
        self.add("cache_write_12h", half_day);
        let Some(input) = reading.get(Part::Input) else {
            let parts = [Part::InputAudio, Part::InputImage, Part::InputVideo];
            return self.add("input", parts.iter().map(|&part| reading.count(part)).sum());
        };
        if reading.count(Part::CacheWrite) > 0.0 && written > reading.count(Part::CacheWrite) {
            notes.doubt(format!(
                "usage says {} tokens written to a cache, but {written} by lifetime.",
                reading.count(Part::CacheWrite)
            ));
        }
        let mut rest = input - read - written;
        if rest < 0.0 {
            notes.doubt(format!(
                "usage has {} cached tokens, but {input} input tokens.",
                read + written
            ));
            self.0.clear();
            return self.add("input", input);
        }
        for (unit, part, cached) in [
            ("input_audio", Part::InputAudio, Part::CacheReadAudio),
            ("input_image", Part::InputImage, Part::CacheReadImage),
            ("input_video", Part::InputVideo, Part::CacheReadVideo),
        ] {
            let count = reading.count(part);
            if count > input || count > rest && read + written == 0.0 {
                notes.doubt(format!(
                    "usage has {count} tokens of {unit}, which is too many for {input} input tokens."
                ));
            }
            // Some of them may be cached.
            let uncached = (count - reading.count(cached)).clamp(0.0, rest);
            self.add(unit, uncached);
            rest -= uncached;
        }
        self.add("input", rest);
    }

    fn output(&mut self, reading: &Reading, notes: &mut Notes) {
        let parts = [
            ("reasoning", Part::Reasoning),
            ("output_audio", Part::OutputAudio),
            ("output_image", Part::OutputImage),
        ];
        let sum: f64 = parts.iter().map(|&(_, part)| reading.count(part)).sum();
        let output = reading.get(Part::Output).unwrap_or(0.0);
        if sum > output {
            notes.doubt(format!(
                "usage has {sum} reasoning, audio and image tokens, but {output} output tokens."
            ));
            return self.add("output", output);
        }
        for (unit, part) in parts {
            self.add(unit, reading.count(part));
        }
        self.add("output", output - sum);
    }
}
