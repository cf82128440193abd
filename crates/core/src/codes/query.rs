//! Compares a query with codes.

use super::encode::{Rounding, planes};
use super::kernels::{PLANES, Planes};
use super::page::Factors;
use super::rotation::Rotation;
use super::{Candidates, Centroid, Id, Page, dot, product_of, unit};
use std::cell::OnceCell;

/// The distance of two levels of a query's rest, in standard deviations, as in `Resolution`.
const STEP: f64 = 0.3352;
/// A shorter centroid has no direction of its own.
const LEAST_SQUARE: f64 = 1e-12;
/// How many standard deviations a similarity may be above or below its estimate. On all sets of vectors that the tests have,
/// searches then find at least 0.995 of the true nearest.
const DEVIATIONS: f32 = 3.0;
/// How many codes are compared at once.
const BATCH: usize = 64;

/// An estimate of a cosine similarity.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Estimate {
    /// Right on average.
    pub similarity: f32,
    /// Its standard deviation. Zero is exact but for rounding.
    pub error: f32,
}

impl Estimate {
    /// What the similarity hardly exceeds.
    #[inline(always)]
    pub(super) fn upper(self) -> f32 {
        self.similarity + DEVIATIONS * self.error
    }

    /// What the similarity hardly falls below.
    pub(super) fn lower(self) -> f32 {
        self.similarity - DEVIATIONS * self.error
    }
}

/// A vector that lists are searched for.
#[derive(Debug)]
pub struct Query {
    dimensions: usize,
    /// Of norm 1.
    unit: Vec<f32>,
    /// The same, rotated. Small projects have no codes that are worth it.
    rotated: OnceCell<Vec<f32>>,
}

impl Query {
    /// `None` unless there are 1 to 16,000 numbers, all of them finite and not all zero.
    pub fn new(numbers: &[f32]) -> Option<Query> {
        Some(Query {
            dimensions: numbers.len(),
            unit: unit(numbers)?,
            rotated: OnceCell::new(),
        })
    }

    fn rotated(&self) -> &[f32] {
        self.rotated.get_or_init(|| {
            let mut numbers = self.unit.clone();
            Rotation::new(numbers.len()).apply(&mut numbers);
            numbers
        })
    }

    /// How many numbers the query has.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The similarity with a centroid, as [`ListQuery::mean`]. `None` if the bytes are no [`Centroid`], or one of other dimensions.
    pub fn mean(&self, centroid: &[u8]) -> Option<f32> {
        let numbers = Centroid::numbers_of(centroid, self.dimensions)?;
        let mean = product_of(numbers, self.rotated(), f32::from_le_bytes);
        mean.is_finite().then_some(mean)
    }

    /// The query as the codes of one list need it. `None` if the bytes are no [`Centroid`], or one of other dimensions.
    pub fn against(&self, centroid: &[u8]) -> Option<ListQuery> {
        let centroid = Centroid::parse(centroid)?;
        (centroid.dimensions == self.dimensions).then(|| ListQuery::new(self.rotated(), &centroid))
    }
}

/// A query for the codes of one list.
#[derive(Debug)]
pub struct ListQuery {
    dimensions: usize,
    bits: u32,
    /// `q·µ`.
    mean: f32,
    /// `α`.
    along: f32,
    planes: Planes,
    /// What a counted sum is multiplied by, and what is then added, for `p·ĉ`.
    scale: f32,
    offset: f32,
    /// `‖p‖`.
    rest: f32,
    /// The standard deviation of `p·ĉ` that the rounding of `p` adds.
    rounding: f32,
}

impl ListQuery {
    fn new(query: &[f32], centroid: &Centroid) -> ListQuery {
        let mean = dot(query, &centroid.numbers);
        let square = dot(&centroid.numbers, &centroid.numbers);
        let along = if square > LEAST_SQUARE { mean / square } else { 0.0 };
        let rest: Vec<f32> = query
            .iter()
            .zip(&centroid.numbers)
            .map(|(&number, &mean)| (f64::from(number) - along * f64::from(mean)) as f32)
            .collect();
        let square = dot(&rest, &rest);
        let rounding = Rounding::new(square / rest.len() as f64, PLANES as u32, STEP).around_zero();
        let levels = rounding.levels(&rest);
        let planes = Planes::new(&planes(&levels, PLANES as u32), centroid.resolution.bits);
        let zero = f32::from(1u8 << (PLANES - 1));
        let levels: Vec<f32> = levels.iter().map(|&level| f32::from(level) - zero).collect();
        let product = dot(&rest, &levels);
        // So the rounding error is perpendicular to p, as that of a code is to r.
        let scale = if product > 0.0 { square / product } else { 0.0 };
        let rounding_square = (scale * scale * dot(&levels, &levels) - square).max(0.0);
        let resolution = centroid.resolution;
        let middle = f64::from((1 << resolution.bits) - 1) / 2.0;
        ListQuery {
            dimensions: centroid.dimensions,
            bits: resolution.bits,
            mean: mean as f32,
            along: along as f32,
            planes,
            scale: scale as f32,
            offset: (-scale * middle * f64::from(levels.iter().sum::<f32>())) as f32,
            rest: square.sqrt() as f32,
            rounding: (rounding_square.sqrt() * resolution.rms) as f32,
        }
    }

    /// The query's similarity with the centroid: the mean similarity of the vectors that the centroid is the mean of.
    pub fn mean(&self) -> f32 {
        self.mean
    }

    /// Whether the page may be one of the list's.
    fn fits(&self, page: &Page) -> bool {
        (page.dimensions(), page.bits) == (self.dimensions, self.bits)
    }

    /// The estimate of a code's similarity. `None` if the page is not one of the list's or has no such code.
    pub fn estimate(&self, page: &Page, place: usize) -> Option<Estimate> {
        if !self.fits(page) || place >= page.len() {
            return None;
        }
        let mut sum = [0];
        self.planes.sums(page.codes(place, 1), &mut sum);
        page.factors(place, 1)
            .next()
            .map(|factors| self.estimate_of(factors, sum[0]))
    }

    /// The estimate from a code's counted sum.
    #[inline(always)]
    fn estimate_of(&self, factors: Factors, sum: i32) -> Estimate {
        let product = self.scale * sum as f32 + self.offset;
        let of_code = factors.error * self.rest;
        let of_query = factors.scale * self.rounding;
        Estimate {
            similarity: self.mean + self.along * factors.along + factors.scale * product,
            error: (of_code * of_code + of_query * of_query).sqrt(),
        }
    }

    /// Offers the codes of a page to `candidates`. `wanted` is asked for those that are near: others are not worth the look.
    /// Returns whether the page may be one of the list's; no code of another one is offered.
    pub fn scan(
        &self,
        page: &Page,
        candidates: &mut Candidates,
        mut wanted: impl FnMut(&Id) -> bool,
    ) -> bool {
        if !self.fits(page) {
            return false;
        }
        let (mut sums, mut uppers) = ([0; BATCH], [0.0; BATCH]);
        for first in (0..page.len()).step_by(BATCH) {
            let count = BATCH.min(page.len() - first);
            let (sums, uppers) = (&mut sums[..count], &mut uppers[..count]);
            self.planes.sums(page.codes(first, count), sums);
            for ((upper, &sum), factors) in uppers.iter_mut().zip(&*sums).zip(page.factors(first, count)) {
                *upper = self.estimate_of(factors, sum).upper();
            }
            if !candidates.any_near(uppers) {
                continue;
            }
            for (place, (id, &upper)) in page.ids()[first..].iter().zip(&*uppers).enumerate() {
                if candidates.is_near(upper)
                    && wanted(id)
                    && let Some(factors) = page.factors(first + place, 1).next()
                {
                    candidates.offer(*id, self.estimate_of(factors, sums[place]));
                }
            }
        }
        true
    }
}
