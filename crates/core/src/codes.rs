//! Estimates cosine similarities from short codes, with the error of each estimate.
//!
//! The codes are RaBitQ's (Gao and Long, "RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound for
//! Approximate Nearest Neighbor Search", arXiv 2405.12497) with one bit a number, or with more (Gao et al., "Practical and
//! Asymptotically Optimal Quantization of High-Dimensional Vectors in Euclidean Space for Approximate Nearest Neighbor
//! Search", arXiv 2409.09913).
//!
//! Let `x` be a vector and `q` a query, both of norm 1 and rotated alike. A *list* of vectors has a centroid `µ`. A code holds
//! what is left of a vector, `r = x − µ`, as small integers whose vector `ĉ` has about `r`'s direction. Beside it stand
//! `µ·r`, the factor `f = ‖r‖² / r·ĉ`, and the size of the error, `e = ‖f·ĉ − r‖ / √(D − 1)` in `D` dimensions. The query
//! has a part along the centroid, `α = q·µ / µ·µ`, and a rest `p = q − α·µ`. Then
//!
//! ```text
//! q·x = q·µ + α·(µ·r) + p·r,     p·r ≈ f·(p·ĉ) with a standard deviation of ‖p‖·e
//! ```
//!
//! All but the last term is exact. So neither a large mean, which real embeddings have, nor the norm of a centroid costs
//! accuracy. `f·ĉ − r` is perpendicular to `r`, and the rotation makes its direction random. That is why the estimate is right
//! on average, and why its error is near a normal distribution for vectors of any kind.
//!
//! `p` is rounded to integers of four bits, so `p·ĉ` is a sum of counted bits ([`kernels`]). The rounding adds its own error:
//! [`Estimate::error`] contains both.

mod candidates;
mod cells;
mod encode;
mod kernels;
mod page;
mod query;
mod rotation;
#[cfg(test)]
mod tests;

pub use candidates::{Candidate, Candidates, Ranked};
pub use cells::{Added, Bound, CellWriter, Cells, Direction, Rotator};
pub use encode::{Centroid, Encoder, List, Mean, build_list};
pub use page::{PAGE_BYTES, Page};
pub use query::{Estimate, ListQuery, Query};

/// The 16 bytes of the UUID that a code belongs to.
pub type Id = [u8; 16];

/// Most dimensions that a vector may have.
pub const MAX_DIMENSIONS: usize = 16_000;

/// The first byte of centroids and pages. It changes with the layout, the rotation or the meaning of a factor.
const VERSION: u8 = 1;

/// How many numbers share a word of a code.
const WORD: usize = u64::BITS as usize;

/// How many numbers a rotated vector has: whole words.
const fn padded(dimensions: usize) -> usize {
    dimensions.next_multiple_of(WORD)
}

/// How the numbers of a code are rounded.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Resolution {
    bits: u32,
    /// The distance of two levels in standard deviations. It is the best one for a normal distribution (Max, "Quantizing for
    /// Minimum Distortion", 1960, table II), which the numbers of a rotated vector nearly have.
    step: f64,
    /// The root mean square of such numbers' levels, in steps.
    rms: f64,
}

const RESOLUTIONS: [Resolution; 3] = [
    Resolution {
        bits: 1,
        step: 1.596,
        rms: 0.5,
    },
    Resolution {
        bits: 2,
        step: 0.9957,
        rms: 0.943,
    },
    Resolution {
        bits: 4,
        step: 0.3352,
        rms: 2.966,
    },
];

/// A code of so many bytes is read about as fast as a shorter one.
const SHORT_BYTES: usize = 256;
/// A longer code would waste much of a page.
const LONG_BYTES: usize = 2_000;
/// So many bytes of codes are read faster than some more vectors are fetched. A project of 50,000 vectors of 1536 dimensions takes
/// 75 fetches with one bit a number, and memory is read at some 13 GB/s: more bits would not pay there.
const FEW_BYTES: usize = 1 << 20;

impl Resolution {
    /// More bits save fetches of vectors, fewer bits make a scan faster. Short codes and short lists get more.
    fn of(dimensions: usize, count: usize) -> Resolution {
        let [least, ..] = RESOLUTIONS;
        let fits = |resolution: &Resolution| {
            let bytes = code_bytes(dimensions, resolution.bits);
            bytes <= SHORT_BYTES || bytes <= LONG_BYTES && count.saturating_mul(bytes) <= FEW_BYTES
        };
        RESOLUTIONS.into_iter().rev().find(fits).unwrap_or(least)
    }

    fn of_bits(bits: u8) -> Option<Resolution> {
        RESOLUTIONS
            .into_iter()
            .find(|resolution| resolution.bits == u32::from(bits))
    }
}

/// How many bytes a code has.
fn code_bytes(dimensions: usize, bits: u32) -> usize {
    padded(dimensions) / 8 * bits as usize
}

/// A vector of norm 1 with zeros behind it, or `None` unless its numbers are finite and some number is not zero.
fn unit(numbers: &[f32]) -> Option<Vec<f32>> {
    let norm = norm(numbers);
    if !(norm.is_finite() && norm > 0.0 && numbers.len() <= MAX_DIMENSIONS) {
        return None;
    }
    let mut unit = vec![0.0; padded(numbers.len())];
    for (unit, &number) in unit.iter_mut().zip(numbers) {
        *unit = (f64::from(number) / norm) as f32;
    }
    Some(unit)
}

/// The Euclidean norm.
pub fn norm(numbers: &[f32]) -> f64 {
    dot(numbers, numbers).sqrt()
}

/// The inner product in double precision.
fn dot(left: &[f32], right: &[f32]) -> f64 {
    // Several sums at once, because each waits for its last addition.
    let mut sums = [0.0; 16];
    let ((left, left_rest), (right, right_rest)) = (left.as_chunks(), right.as_chunks());
    let mut add = |left: &[f32], right: &[f32]| {
        for ((sum, &left), &right) in sums.iter_mut().zip(left).zip(right) {
            *sum += f64::from(left) * f64::from(right);
        }
    };
    left.iter()
        .zip(right)
        .for_each(|(left, right): (&[f32; 16], &[f32; 16])| add(left, right));
    add(left_rest, right_rest);
    sums.iter().sum()
}

/// The inner product in single precision, of whole words of numbers.
fn product(left: &[f32], right: &[f32]) -> f32 {
    product_of(left, right, |number| number)
}

/// The same, of numbers that are still to be read.
fn product_of<T: Copy>(left: &[T], right: &[f32], read: impl Fn(T) -> f32) -> f32 {
    // Several sums at once, because each waits for its last addition.
    let mut sums = [0.0f32; 16];
    for (left, right) in left.as_chunks::<16>().0.iter().zip(right.as_chunks::<16>().0) {
        for ((sum, &left), &right) in sums.iter_mut().zip(left).zip(right) {
            *sum += read(left) * right;
        }
    }
    sums.iter().sum()
}
