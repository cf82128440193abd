//! Numbers, days and names as people read them.

/// The language of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// en
    English,
    /// fr
    French,
}

impl Language {
    /// The language of this code.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Language> {
        match code {
            "en" => Some(Language::English),
            "fr" => Some(Language::French),
            _ => None,
        }
    }

    pub(super) fn code(self) -> &'static str {
        self.say("en", "fr")
    }

    pub(super) fn say(self, english: &'static str, french: &'static str) -> &'static str {
        match self {
            Language::English => english,
            Language::French => french,
        }
    }

    /// A number with groups of thousands.
    pub(super) fn number(self, value: f64, decimals: usize) -> String {
        let written = format!("{:.decimals$}", value.abs());
        let (whole, fraction) = written.split_once('.').unwrap_or((&written, ""));
        let mut text = String::new();
        if value < 0.0 && written.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
            text.push('−');
        }
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place).is_multiple_of(3) {
                text.push_str(self.say(",", "\u{202f}"));
            }
            text.push(digit);
        }
        if !fraction.is_empty() {
            text.push_str(self.say(".", ","));
            text.push_str(fraction);
        }
        text
    }

    pub(super) fn count(self, value: f64) -> String {
        self.number(value, 0)
    }

    /// A count that has room for few digits.
    pub(super) fn rough(self, value: f64) -> String {
        match value.abs() {
            size if size >= 1e9 => self.number(value / 1e9, 1) + self.say("B", "\u{a0}Md"),
            size if size >= 1e6 => self.number(value / 1e6, 1) + self.say("M", "\u{a0}M"),
            _ => self.count(value),
        }
    }

    /// US dollars. Small amounts keep their digits: a call of a model may cost a millionth.
    pub(super) fn money(self, value: f64) -> String {
        let decimals = match value.abs() {
            size if size == 0.0 || size >= 1.0 => 2,
            size if size >= 0.01 => 4,
            _ => 6,
        };
        self.dollars(value, self.number(value, decimals))
    }

    /// What nobody knows is not 0.
    pub(super) fn known_money(self, value: Option<f64>) -> String {
        value.map_or_else(
            || self.say("unknown", "inconnu").into(),
            |value| self.money(value),
        )
    }

    fn dollars(self, value: f64, number: String) -> String {
        match self {
            Language::French => format!("{number}\u{a0}$"),
            Language::English if value < 0.0 => number.replacen('−', "−$", 1),
            Language::English => format!("${number}"),
        }
    }

    /// A part of a whole. It is rounded down: 100 % are all.
    pub(super) fn percent(self, part: f64, whole: f64) -> String {
        if whole <= 0.0 {
            return "–".into();
        }
        // Parts of floating-point numbers miss whole tenths by a little.
        let tenths = (part / whole * 1000.0 + 1e-9).floor();
        let tenths = if part < whole { tenths.min(999.0) } else { tenths };
        let decimals = usize::from(tenths % 10.0 != 0.0);
        let (sign, tenths) = match part > 0.0 && tenths == 0.0 {
            true => ("<\u{a0}", 1.0),
            false => ("", tenths),
        };
        let decimals = if sign.is_empty() { decimals } else { 1 };
        format!(
            "{sign}{}{}",
            self.number(tenths / 10.0, decimals),
            self.say("%", "\u{a0}%")
        )
    }

    pub(super) fn duration(self, milliseconds: f64) -> String {
        let (value, unit) = match milliseconds {
            below if below < 1000.0 => (below, "ms"),
            below if below < 120_000.0 => (below / 1000.0, "s"),
            below if below < 7_200_000.0 => (below / 60_000.0, "min"),
            long => (long / 3_600_000.0, "h"),
        };
        let decimals = if unit == "ms" || value >= 100.0 { 0 } else { 1 };
        format!("{}\u{a0}{unit}", self.number(value, decimals))
    }

    /// A number as the label of an axis that goes up to `most`.
    pub(super) fn short(self, value: f64, most: f64) -> String {
        let (divisor, unit) = match most.abs() {
            size if size >= 1e9 => (1e9, self.say("B", "\u{a0}Md")),
            size if size >= 1e6 => (1e6, self.say("M", "\u{a0}M")),
            size if size >= 1e4 => (1e3, self.say("k", "\u{a0}k")),
            _ => (1.0, ""),
        };
        let decimals = match most.abs() / divisor {
            size if size >= 10.0 => 0,
            size if size >= 1.0 => 1,
            size if size >= 0.1 => 2,
            size if size >= 0.01 => 3,
            _ => 6,
        };
        self.number(value / divisor, decimals) + if value == 0.0 { "" } else { unit }
    }

    pub(super) fn short_money(self, value: f64, most: f64) -> String {
        self.dollars(value, self.short(value, most))
    }

    /// The day and month of a date, which is written as 2026-11-28.
    pub(super) fn day(self, date: &str) -> String {
        match parts(date) {
            Some((_, month, day)) => match self {
                Language::English => format!("{} {day}", self.month(month)),
                Language::French => format!("{day} {}", self.month(month)),
            },
            None => clean(date),
        }
    }

    /// A date with its year.
    pub(super) fn date(self, date: &str) -> String {
        match parts(date) {
            Some((year, _, _)) => format!("{}{} {year}", self.day(date), self.say(",", "")),
            None => clean(date),
        }
    }

    fn month(self, month: usize) -> &'static str {
        let names = match self {
            Language::English => [
                "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
            ],
            Language::French => [
                "janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.",
                "déc.",
            ],
        };
        names.get(month.wrapping_sub(1)).copied().unwrap_or("")
    }
}

fn parts(date: &str) -> Option<(i32, usize, u8)> {
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    Some((
        year.parse().ok()?,
        month.parse().ok().filter(|month| (1..=12).contains(month))?,
        day.parse().ok()?,
    ))
}

/// A text of a user in one line. What cannot be seen, or would turn the order of letters around, is marked.
pub(super) fn clean(text: &str) -> String {
    const MOST: usize = 200;
    let mut shown: String = text
        .chars()
        .take(MOST)
        .map(|letter| match letter {
            '\t' | '\n' | '\r' => ' ',
            '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
            | '\u{fffe}'..='\u{ffff}' => '\u{fffd}',
            letter if letter.is_control() => '\u{fffd}',
            letter => letter,
        })
        .collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}
