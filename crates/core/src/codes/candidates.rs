//! Keeps what could be among the nearest.

use super::{Estimate, Id};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// How many standard deviations a similarity may be above or below its estimate. Measured on twelve sets of vectors, this many
/// find more than 0.995 of the true nearest.
const DEVIATIONS: f32 = 3.0;
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

    /// Whether a code could be among the nearest. If not, it counts as dropped.
    #[inline(always)]
    pub(super) fn is_near(&mut self, estimate: Estimate) -> bool {
        let near = upper(estimate) >= self.threshold;
        self.dropped |= !near;
        near
    }

    /// Keeps a code if it could be among the nearest.
    pub fn offer(&mut self, id: Id, estimate: Estimate) {
        let lower = estimate.similarity - DEVIATIONS * estimate.error;
        // Stored factors may be anything.
        if !(self.is_near(estimate) && lower.is_finite() && upper(estimate).is_finite()) {
            return;
        }
        self.kept.push(Candidate {
            id,
            upper: upper(estimate),
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

#[inline(always)]
fn upper(estimate: Estimate) -> f32 {
    estimate.similarity + DEVIATIONS * estimate.error
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
