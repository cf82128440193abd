//! Keeps what could be among the nearest.

use super::{Estimate, Id};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// How many candidates are kept beyond the depth, at least.
const SPARE: usize = 4096;

/// A code that could be among the nearest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The code's id.
    pub id: Id,
    /// A similarity that the vector hardly exceeds.
    pub upper: f32,
    /// The estimate of its similarity.
    pub similarity: f32,
}

/// What [`Candidates`] kept.
#[derive(Debug)]
pub struct Ranked {
    /// By their upper bounds, the highest first.
    pub candidates: Vec<Candidate>,
    /// No code that is missing has a higher upper bound. −∞ if none is missing.
    pub floor: f32,
}

/// Keeps the codes that could be among the nearest.
///
/// The `depth`-th best lower bound of all codes is a similarity that `depth` vectors reach. A code whose upper bound is less is
/// dropped. Vectors of codes may have gone or changed in the meantime: then fewer reach it. The caller notices, because
/// its nearest one is less similar than [`Ranked::floor`], and looks deeper.
#[derive(Debug)]
pub struct Candidates {
    depth: usize,
    kept: Vec<Candidate>,
    /// The `depth` best lower bounds, the least first.
    lower: BinaryHeap<Reverse<Bound>>,
    threshold: f32,
    dropped: bool,
}

impl Candidates {
    /// Keeps what could be among the `depth` nearest, and holds at most some `2 · depth` + 8000 codes.
    pub fn new(depth: usize) -> Candidates {
        Candidates {
            depth: depth.max(1),
            kept: Vec::new(),
            lower: BinaryHeap::new(),
            threshold: f32::NEG_INFINITY,
            dropped: false,
        }
    }

    /// Whether one of the codes with these upper bounds could be among the nearest. If not, they count as dropped.
    #[inline(always)]
    pub(super) fn any_near(&mut self, uppers: &[f32]) -> bool {
        // All are compared, so that several are compared at once.
        let near = uppers
            .iter()
            .fold(false, |near, &upper| near | (upper >= self.threshold));
        self.dropped |= !near;
        near
    }

    /// Whether a code with this upper bound could be among the nearest. If not, it counts as dropped.
    #[inline(always)]
    pub fn is_near(&mut self, upper: f32) -> bool {
        let near = upper >= self.threshold;
        self.dropped |= !near;
        near
    }

    /// Keeps a code if it could be among the nearest.
    pub fn offer(&mut self, id: Id, estimate: Estimate) {
        let (upper, lower) = (estimate.upper(), estimate.lower());
        // Stored factors may be anything.
        if !(self.is_near(upper) && lower.is_finite() && upper.is_finite()) {
            return;
        }
        self.kept.push(Candidate {
            id,
            upper,
            similarity: estimate.similarity,
        });
        self.raise(lower);
        let most = self.depth.saturating_add(SPARE);
        if self.kept.len() >= most.saturating_mul(2) {
            self.shrink(most);
        }
    }

    /// Raises the threshold to the `depth`-th best lower bound.
    fn raise(&mut self, lower: f32) {
        self.lower.push(Reverse(Bound(lower)));
        if self.lower.len() > self.depth {
            self.lower.pop();
        }
        if let Some(Reverse(least)) = self.lower.peek()
            && self.lower.len() == self.depth
        {
            self.threshold = self.threshold.max(least.0);
        }
    }

    /// Drops what is below the threshold, then the lowest beyond `most`.
    fn shrink(&mut self, most: usize) {
        let before = self.kept.len();
        self.kept.retain(|candidate| candidate.upper >= self.threshold);
        if self.kept.len() > most {
            let (_, highest_dropped, _) = self.kept.select_nth_unstable_by(most, descending);
            self.threshold = self.threshold.max(highest_dropped.upper);
            self.kept.truncate(most);
        }
        self.dropped |= self.kept.len() < before;
    }

    /// What was kept, the highest upper bound first.
    pub fn finish(mut self) -> Ranked {
        self.shrink(usize::MAX);
        self.kept.sort_unstable_by(descending);
        Ranked {
            candidates: self.kept,
            floor: if self.dropped {
                self.threshold
            } else {
                f32::NEG_INFINITY
            },
        }
    }
}

/// By upper bound, then by id, so that the order does not depend on the order of pages.
fn descending(left: &Candidate, right: &Candidate) -> Ordering {
    right
        .upper
        .total_cmp(&left.upper)
        .then_with(|| left.id.cmp(&right.id))
}

/// A number in a total order.
#[derive(Debug, Clone, Copy)]
struct Bound(f32);

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Bound {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offer(candidates: &mut Candidates, offers: &[(f32, f32)]) {
        for (number, &(similarity, error)) in offers.iter().enumerate() {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&(number as u64).to_be_bytes());
            candidates.offer(id, Estimate { similarity, error });
        }
    }

    fn number(candidate: &Candidate) -> usize {
        usize::from_be_bytes(*candidate.id.first_chunk().unwrap())
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_rest_is_below_the_floor() {
        // All of them may be the nearest.
        let offers: Vec<(f32, f32)> = (0..50_000)
            .map(|number| ((number % 997) as f32 / 1e6, 1.0))
            .collect();
        let mut candidates = Candidates::new(10);
        offer(&mut candidates, &offers);
        assert!(candidates.kept.len() <= 2 * (10 + SPARE));
        let ranked = candidates.finish();
        assert!(ranked.candidates.len() >= SPARE);
        let kept: std::collections::HashSet<usize> = ranked.candidates.iter().map(number).collect();
        for (number, &(similarity, error)) in offers.iter().enumerate() {
            assert!(kept.contains(&number) || Estimate { similarity, error }.upper() <= ranked.floor);
        }
    }

    #[test]
    fn estimates_that_are_no_numbers_are_not_kept() {
        let mut candidates = Candidates::new(2);
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        offer(&mut candidates, &odd.map(|number| (number, 0.1)));
        offer(&mut candidates, &odd.map(|number| (0.5, number)));
        offer(&mut candidates, &[(f32::MAX, f32::MAX)]);
        assert_eq!(candidates.threshold, f32::NEG_INFINITY);
        assert!(candidates.finish().candidates.is_empty());
        assert_eq!(Candidates::new(usize::MAX).finish().floor, f32::NEG_INFINITY);
    }

    proptest! {
        #[test]
        fn all_that_could_be_among_the_nearest_are_kept(
            offers in prop::collection::vec((-1f32..1.0, 0f32..0.2), 0..300),
            depth in 1usize..30,
        ) {
            let mut candidates = Candidates::new(depth);
            offer(&mut candidates, &offers);
            let ranked = candidates.finish();
            let mut lower: Vec<f32> = offers.iter().map(|&(similarity, error)| Estimate { similarity, error }.lower()).collect();
            lower.sort_by(|left, right| right.total_cmp(left));
            let threshold = lower.get(depth - 1).copied().unwrap_or(f32::NEG_INFINITY);
            let mut expected: Vec<(f32, usize)> = offers
                .iter()
                .enumerate()
                .map(|(number, &(similarity, error))| (Estimate { similarity, error }.upper(), number))
                .filter(|(upper, _)| *upper >= threshold)
                .collect();
            expected.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
            let found: Vec<(f32, usize)> = ranked.candidates.iter().map(|candidate| (candidate.upper, number(candidate))).collect();
            let all = found.len() == offers.len();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(ranked.floor, if all { f32::NEG_INFINITY } else { threshold });
        }
    }
}
