//! Encodes vectors.

use super::page::{Factors, Writer};
use super::rotation::Rotation;
use super::{Id, MAX_DIMENSIONS, Resolution, VERSION, WORD, dot, padded, unit};

const HEADER_BYTES: usize = 4;
/// A rest of a smaller square is rounding. Its vector counts as the centroid itself.
const LEAST_SQUARE: f64 = 1e-14;

/// Adds up the directions of vectors.
#[derive(Debug)]
pub struct Mean {
    sums: Vec<f64>,
    count: usize,
}

impl Mean {
    /// Of vectors with so many dimensions. `None` unless they are 1 to 16,000.
    pub fn new(dimensions: usize) -> Option<Mean> {
        (1..=MAX_DIMENSIONS).contains(&dimensions).then(|| Mean {
            sums: vec![0.0; dimensions],
            count: 0,
        })
    }

    /// Returns whether the vector was added. It is not if it has other dimensions, a number that is not finite, or only zeros.
    pub fn add(&mut self, vector: &[f32]) -> bool {
        if vector.len() != self.sums.len() {
            return false;
        }
        let Some(unit) = unit(vector) else { return false };
        for (sum, number) in self.sums.iter_mut().zip(unit) {
            *sum += f64::from(number);
        }
        self.count += 1;
        true
    }

    /// The centroid of a list of `count` vectors: the mean of the directions that were added. Codes are right around any centroid; their errors are smallest around the
    /// mean of their own vectors, and hardly larger around that of a sample.
    pub fn centroid(&self, count: usize) -> Centroid {
        let added = self.count.max(1) as f64;
        let mut numbers = vec![0.0; padded(self.sums.len())];
        for (number, sum) in numbers.iter_mut().zip(&self.sums) {
            *number = (sum / added) as f32;
        }
        Rotation::new(numbers.len()).apply(&mut numbers);
        Centroid {
            dimensions: self.sums.len(),
            resolution: Resolution::of(self.sums.len(), count),
            numbers,
        }
    }
}

/// What all codes of a list are relative to.
///
/// Its numbers are stored as they are used, in single precision: so a copy of the centroid has an error of zero. A list of
/// 1000 codes of 1536 dimensions has some 3 % of its bytes in the centroid.
#[derive(Debug, Clone, PartialEq)]
pub struct Centroid {
    pub(super) dimensions: usize,
    pub(super) resolution: Resolution,
    /// Rotated.
    pub(super) numbers: Vec<f32>,
}

impl Centroid {
    /// Version, bits and dimensions in one, one and two bytes, then the rotated numbers, all little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, self.resolution.bits as u8];
        bytes.extend((self.dimensions as u16).to_le_bytes());
        bytes.extend(self.numbers.iter().flat_map(|number| number.to_le_bytes()));
        bytes
    }

    /// The numbers in the bytes of a centroid of so many dimensions. `None` if the bytes do not have this form.
    pub(super) fn numbers_of(bytes: &[u8], dimensions: usize) -> Option<&[[u8; 4]]> {
        let (&[version, _, d0, d1], rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let (numbers, []) = rest.as_chunks() else {
            return None;
        };
        let has_form = version == VERSION && usize::from(u16::from_le_bytes([d0, d1])) == dimensions;
        (has_form && numbers.len() == padded(dimensions)).then_some(numbers)
    }

    /// `None` if the bytes are no centroid. They may be any bytes.
    pub fn parse(bytes: &[u8]) -> Option<Centroid> {
        let (&[version, bits, d0, d1], rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let dimensions = usize::from(u16::from_le_bytes([d0, d1]));
        let resolution = Resolution::of_bits(bits)?;
        let (numbers, []) = rest.as_chunks() else {
            return None;
        };
        let numbers: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
        let right = version == VERSION
            && (1..=MAX_DIMENSIONS).contains(&dimensions)
            && numbers.len() == padded(dimensions)
            && numbers.iter().all(|number| number.is_finite());
        right.then_some(Centroid {
            dimensions,
            resolution,
            numbers,
        })
    }
}

/// Encodes the vectors of a list.
#[derive(Debug)]
pub struct Encoder<'a> {
    centroid: &'a Centroid,
    rotation: Rotation,
    writer: Writer,
}

impl<'a> Encoder<'a> {
    /// Of a list with this centroid.
    pub fn new(centroid: &'a Centroid) -> Encoder<'a> {
        Encoder {
            centroid,
            rotation: Rotation::new(centroid.numbers.len()),
            writer: Writer::new(centroid.dimensions, centroid.resolution.bits),
        }
    }

    /// Returns whether the vector was encoded. It is not if it has other dimensions, a number that is not finite, or only zeros.
    pub fn push(&mut self, id: Id, vector: &[f32]) -> bool {
        let Some(direction) = rotated_unit(vector, self.centroid.dimensions, &self.rotation) else {
            return false;
        };
        let (code, factors) = encode_rest(direction, self.centroid);
        self.writer.push(id, &code, factors);
        true
    }

    /// The pages, in the order of the vectors.
    pub fn finish(self) -> Vec<Vec<u8>> {
        self.writer.finish()
    }
}

/// A vector of norm 1, rotated. `None` if it has other dimensions, a number that is not finite, or only zeros.
pub(super) fn rotated_unit(vector: &[f32], dimensions: usize, rotation: &Rotation) -> Option<Vec<f32>> {
    let mut direction = unit(vector).filter(|_| vector.len() == dimensions)?;
    rotation.apply(&mut direction);
    Some(direction)
}

/// The code of a rotated vector of norm 1, and its factors.
pub(super) fn encode_rest(direction: Vec<f32>, centroid: &Centroid) -> (Vec<u64>, Factors) {
    let mut rest = direction;
    for (number, mean) in rest.iter_mut().zip(&centroid.numbers) {
        *number -= mean;
    }
    let along = dot(&centroid.numbers, &rest) as f32;
    let (code, factors) = encode(&rest, centroid.resolution);
    (code, Factors { along, ..factors })
}

/// The code of `rest`, and its factors but `along`.
fn encode(rest: &[f32], resolution: Resolution) -> (Vec<u64>, Factors) {
    let square = dot(rest, rest);
    let rounding = Rounding::new(square / rest.len() as f64, resolution.bits, resolution.step);
    let levels = rounding.levels(rest);
    let code = planes(&levels, resolution.bits);
    if square < LEAST_SQUARE {
        return (code, Factors::default());
    }
    let middle = f32::from((1u8 << resolution.bits) - 1) / 2.0;
    let levels: Vec<f32> = levels.iter().map(|&level| f32::from(level) - middle).collect();
    // The product is positive, because a level has the sign of its number.
    let scale = square / dot(rest, &levels);
    let error_square = (scale * scale * dot(&levels, &levels) - square).max(0.0);
    let factors = Factors {
        along: 0.0,
        scale: scale as f32,
        error: (error_square / (rest.len() - 1) as f64).sqrt() as f32,
    };
    (code, factors)
}

/// Rounds numbers to levels of equal distance, which are numbered from 0 on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounding {
    /// Levels for each unit.
    per_unit: f32,
    /// Where zero is, in levels.
    zero: f32,
    /// The highest level.
    most: f32,
}

impl Rounding {
    /// Of a code: zero is between the two middle levels. `step` is the distance of two levels in standard deviations.
    pub(super) fn new(variance: f64, bits: u32, step: f64) -> Rounding {
        let distance = variance.sqrt() * step;
        Rounding {
            per_unit: if distance > 0.0 {
                (1.0 / distance) as f32
            } else {
                0.0
            },
            zero: (1 << (bits - 1)) as f32,
            most: ((1 << bits) - 1) as f32,
        }
    }

    /// Of a query: zero is itself a level, the one that is numbered half the number of levels.
    pub(super) fn around_zero(self) -> Rounding {
        Rounding {
            zero: self.zero + 0.5,
            ..self
        }
    }

    pub(super) fn levels(self, vector: &[f32]) -> Vec<u8> {
        // Rounds towards zero, as `floor` does with numbers that are not negative.
        let level = |number: &f32| (number * self.per_unit + self.zero).clamp(0.0, self.most) as u8;
        vector.iter().map(level).collect()
    }
}

/// Levels as bit planes of whole words, the lowest bits first.
pub(super) fn planes(levels: &[u8], bits: u32) -> Vec<u64> {
    let (eights, _) = levels.as_chunks();
    let plane = |bit: u32| {
        eights.chunks(WORD / 8).map(move |eights| {
            let eights = eights.iter().enumerate();
            eights.fold(0, |word, (place, eight)| {
                word | lowest_bits(u64::from_le_bytes(*eight) >> bit) << (8 * place)
            })
        })
    };
    (0..bits).flat_map(plane).collect()
}

/// The lowest bit of each byte, as one byte.
fn lowest_bits(bytes: u64) -> u64 {
    // Moves the bit of byte `i` from place `8 i` to place `56 + i`. No two products meet in one place.
    (bytes & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// A list as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// A [`Centroid`].
    pub centroid: Vec<u8>,
    /// Each a [`Page`](super::Page).
    pub pages: Vec<Vec<u8>>,
}

/// A list of vectors that are in memory. `None` unless there are some, each with an id, all of the same 1 to 16,000 dimensions,
/// finite and not all zero.
pub fn build_list(ids: &[Id], vectors: &[&[f32]]) -> Option<List> {
    let mut mean = Mean::new(vectors.first()?.len())?;
    if ids.len() != vectors.len() || !vectors.iter().all(|vector| mean.add(vector)) {
        return None;
    }
    let centroid = mean.centroid(ids.len());
    let mut encoder = Encoder::new(&centroid);
    if !ids
        .iter()
        .zip(vectors)
        .all(|(id, vector)| encoder.push(*id, vector))
    {
        return None;
    }
    Some(List {
        centroid: centroid.to_bytes(),
        pages: encoder.finish(),
    })
}
