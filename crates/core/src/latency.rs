//! How latencies are distributed: counts in buckets whose bounds grow by 2 %, so percentiles are exact to 1 %.
//!
//! It is the sketch of Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees"
//! (VLDB 2019). Counts may be negative: then the sketch says what to take away from another one.

/// Each bucket ends at this multiple of where it begins. Its representative is at most 1 % away from every value in it.
const GROWTH: f64 = 1.02;

/// The end of the first bucket. What is shorter, in milliseconds, counts as 0.
const SHORTEST: f64 = 1e-6;

/// What is longer, in milliseconds, counts as this.
const LONGEST: f64 = 1e9;

/// Counts by bucket, as far as the last one that was counted in: thousands of sketches are added up for one figure, and an array
/// does it without looking up keys. Bucket 0 holds zeros.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch(Vec<i64>);

impl Sketch {
    /// Counts a latency. Not a number is not counted.
    pub fn add(&mut self, latency: f64) {
        if !latency.is_nan() {
            self.count(bucket_of(latency), 1);
        }
    }

    /// Adds the counts of a stored sketch `times` times, which may be negative. Of bytes that are damaged, adds what comes before
    /// the damage.
    pub fn merge(&mut self, stored: &[u8], times: i64) {
        let mut rest = stored;
        let mut bucket = 0;
        while let (Some(step), Some(count)) = (number(&mut rest), number(&mut rest)) {
            bucket += step;
            let Ok(bucket) = u16::try_from(bucket) else { return };
            self.count(bucket, unsigned_to_signed(count).saturating_mul(times));
        }
    }

    fn count(&mut self, bucket: u16, times: i64) {
        let bucket = usize::from(bucket);
        if bucket >= self.0.len() {
            self.0.resize(bucket + 1, 0);
        }
        self.0[bucket] = self.0[bucket].saturating_add(times);
    }

    /// The sketch as bytes: for each bucket, how far it is from the one before, and its count.
    pub fn store(&self) -> Vec<u8> {
        let mut stored = Vec::new();
        let mut before = 0;
        for (bucket, &count) in self.0.iter().enumerate().filter(|&(_, &count)| count != 0) {
            push(&mut stored, (bucket - before) as u64);
            push(&mut stored, signed_to_unsigned(count));
            before = bucket;
        }
        stored
    }

    /// The value at a fraction of the sorted latencies, between two of them in proportion, as `percentile_cont` does.
    /// `None` if nothing is counted.
    pub fn percentile(&self, fraction: f64) -> Option<f64> {
        let counted = || self.0.iter().enumerate().filter(|&(_, &count)| count > 0);
        let total: i128 = counted().map(|(_, &count)| i128::from(count)).sum();
        let place = fraction.clamp(0.0, 1.0) * (total - 1).max(0) as f64;
        let at = |place: f64| {
            let mut passed = 0;
            counted().find_map(|(bucket, &count)| {
                passed += i128::from(count);
                (passed as f64 > place).then(|| representative(bucket))
            })
        };
        let (lower, upper) = (at(place.floor())?, at(place.ceil())?);
        Some(lower + (upper - lower) * place.fract())
    }
}

fn bucket_of(latency: f64) -> u16 {
    if latency < SHORTEST {
        return 0;
    }
    // From 1 for SHORTEST to about 1,700 for LONGEST.
    1 + ((latency.min(LONGEST) / SHORTEST).ln() / GROWTH.ln()).ceil() as u16
}

fn representative(bucket: usize) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    SHORTEST * GROWTH.powi(bucket as i32 - 1) * 2.0 / (1.0 + GROWTH)
}

fn push(stored: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        stored.push(number as u8 | 0x80);
        number >>= 7;
    }
    stored.push(number as u8);
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            // No bucket and no count of a whole sketch comes near the end of the range, so sums cannot overflow.
            return (number < 1 << 62).then_some(number);
        }
    }
    None
}

fn signed_to_unsigned(count: i64) -> u64 {
    ((count << 1) ^ (count >> 63)) as u64
}

fn unsigned_to_signed(count: u64) -> i64 {
    (count >> 1) as i64 ^ -((count & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::Sketch;
    use proptest::prelude::*;

    fn of(latencies: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        for &latency in latencies {
            sketch.add(latency);
        }
        sketch
    }

    fn exact(latencies: &mut [f64], fraction: f64) -> f64 {
        latencies.sort_by(f64::total_cmp);
        let place = fraction * (latencies.len() - 1) as f64;
        let (lower, upper) = (
            latencies[place.floor() as usize],
            latencies[place.ceil() as usize],
        );
        lower + (upper - lower) * place.fract()
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(Sketch::default().percentile(0.5), None);
    }

    #[test]
    fn zeros_and_extremes() {
        assert_eq!(of(&[0.0, 0.0]).percentile(0.99), Some(0.0));
        for latency in [1e-6, 1e-3, 1.0, 1e9] {
            let found = of(&[latency]).percentile(0.5).unwrap();
            assert!((found / latency - 1.0).abs() < 0.01, "{found} is not {latency}");
        }
        assert_eq!(of(&[f64::INFINITY]), of(&[1e9]));
        assert_eq!(of(&[f64::NAN]), Sketch::default());
    }

    proptest! {
        #[test]
        fn percentiles_are_within_one_percent(
            mut latencies in prop::collection::vec(1e-3..1e9, 1..300), fraction in 0.0..=1.0
        ) {
            let found = of(&latencies).percentile(fraction).unwrap();
            let exact = exact(&mut latencies, fraction);
            prop_assert!((found / exact - 1.0).abs() <= 0.01, "{found} is not {exact}");
        }

        #[test]
        fn merged_parts_are_the_whole(latencies in prop::collection::vec(0.0..1e9, 0..300), cut in any::<prop::sample::Index>()) {
            let cut = if latencies.is_empty() { 0 } else { cut.index(latencies.len()) };
            let mut merged = Sketch::default();
            merged.merge(&of(&latencies[..cut]).store(), 1);
            merged.merge(&of(&latencies[cut..]).store(), 1);
            prop_assert_eq!(merged.store(), of(&latencies).store());
        }

        #[test]
        fn what_is_taken_away_is_gone(latencies in prop::collection::vec(0.0..1e9, 0..300)) {
            let mut sketch = of(&latencies);
            sketch.merge(&of(&latencies).store(), -1);
            prop_assert!(sketch.store().is_empty());
        }

        #[test]
        fn any_bytes_are_read(stored in prop::collection::vec(any::<u8>(), 0..100), fraction in any::<f64>()) {
            let mut sketch = Sketch::default();
            sketch.merge(&stored, 1);
            sketch.merge(&stored, 1);
            sketch.percentile(fraction);
            sketch.store();
        }
    }
}
