//! Cells: vectors that are near each other have their codes together, so that a search need not read all of them.
//!
//! A cell has a mean, found by k-means on a sample. A vector's codes go to the cell whose mean is nearest. How near a query is
//! to a mean says something of the vectors there, but no bound: in many dimensions the true nearest are also in cells whose means
//! are far. So it is measured. For stored vectors as queries, let `t` be the similarity with one of their true nearest `x`, and `s` the
//! similarity with the mean of `x`'s cell. Over the pairs, `s` is near a normal distribution around a line `a + b·t`:
//! [`Bound::fit`] finds the line and the deviation `σ`. A cell with
//!
//! ```text
//! s < a + b·t − 3.2·σ
//! ```
//!
//! hardly has a vector whose similarity with the query is `t`. In this way `t`, and with it what a search reads, depends on the vectors that it may
//! return: with a rare filter, or for many rows, it reads more cells. Vectors without neighbourhoods have a flat line with a
//! wide deviation, so a search then reads nearly all cells.
//!
//! A vector that is far from all means would be where no query looks. Its code goes to the *rest*, which every search reads. And a
//! query that is as far from all means is unlike those that were measured: it reads all cells.

use super::encode::{encode_rest, rotated_unit};
use super::page::Writer;
use super::rotation::Rotation;
use super::{Centroid, Id, Mean, Page, Resolution, VERSION, padded, product};
use crate::Interrupt;

/// How many standard deviations below its expectation a cell may be. On all sets of vectors that the tests have, searches then
/// find at least 0.99 of the true nearest.
const DEVIATIONS: f64 = 3.2;
/// A line that is flatter says nothing.
const LEAST_SLOPE: f64 = 0.02;
/// Fewer pairs say nothing.
const LEAST_PAIRS: usize = 100;
/// The share of a sample that is far from all cells.
const FAR: f64 = 0.005;
/// How often k-means moves the means.
const ROUNDS: usize = 6;
/// How many groups of means are looked at for the nearest mean.
const PROBES: usize = 4;
/// Every vector of the sample with a number divisible by this is not trained on. They show how near vectors are to means that they
/// are no part of.
const HELD_OUT: usize = 8;
/// So many vectors are looked at together, so that a mean is fetched from memory once for all of them.
const TOGETHER: usize = 256;
const NUMBER_BYTES: usize = size_of::<f32>();

/// What the similarity of a query with a cell's mean says of the vectors of the cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    slope: f32,
    /// The line's height at zero, less the tolerance.
    base: f32,
    /// A vector whose similarity with the nearest mean is less belongs to the rest.
    least: f32,
}

impl Bound {
    /// A bound that excludes nothing.
    const NONE: Bound = Bound {
        slope: 0.0,
        base: f32::NEG_INFINITY,
        least: f32::NEG_INFINITY,
    };

    /// From pairs of the similarity of a query with a near vector, and with the mean of its cell.
    fn fit(pairs: &[(f64, f64)]) -> Bound {
        let count = pairs.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
        let (similarity, cell) = (mean(|pair| pair.0), mean(|pair| pair.1));
        let sums = pairs.iter().fold((0.0, 0.0), |(square, product), (x, y)| {
            let from_mean = x - similarity;
            (square + from_mean * from_mean, product + from_mean * (y - cell))
        });
        let slope = sums.1 / sums.0;
        let height = cell - slope * similarity;
        let mut below: Vec<f64> = pairs.iter().map(|(x, y)| height + slope * x - y).collect();
        below.sort_unstable_by(f64::total_cmp);
        let deviation = (below.iter().map(|rest| rest * rest).sum::<f64>() / count).sqrt();
        // The tail may be longer than that of a normal distribution.
        let farthest = below
            .get(below.len() * 995 / 1000)
            .copied()
            .unwrap_or(f64::INFINITY);
        let base = height - (DEVIATIONS * deviation).max(1.2 * farthest);
        if pairs.len() < LEAST_PAIRS || slope.is_nan() || slope < LEAST_SLOPE || !base.is_finite() {
            return Bound::NONE;
        }
        Bound {
            slope: slope as f32,
            base: base as f32,
            least: f32::NEG_INFINITY,
        }
    }

    /// The highest similarity with a query that a vector of a cell hardly exceeds, whose mean has this similarity with it.
    pub fn reach(self, mean: f32) -> f32 {
        let reach = (mean - self.base) / self.slope;
        if self.slope > 0.0 && !reach.is_nan() {
            reach
        } else {
            f32::INFINITY
        }
    }

    /// Whether a query may be one of the vectors that the bound was measured on, by its similarity with the mean nearest to it. If
    /// not, the bound says nothing of it.
    pub fn covers(self, nearest: f32) -> bool {
        nearest >= self.least
    }

    /// The version, then three numbers, little-endian.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(
            [self.slope, self.base, self.least]
                .map(f32::to_le_bytes)
                .as_flattened(),
        );
        bytes
    }

    /// `None` if the bytes are no bound. They may be any bytes.
    pub fn parse(bytes: &[u8]) -> Option<Bound> {
        let (&VERSION, rest) = bytes.split_first()? else {
            return None;
        };
        let ([slope, base, least], []) = rest.as_chunks::<NUMBER_BYTES>() else {
            return None;
        };
        let of = |bytes: &[u8; NUMBER_BYTES]| f32::from_le_bytes(*bytes);
        Some(Bound {
            slope: of(slope),
            base: of(base),
            least: of(least),
        })
    }
}

/// A stored vector of norm 1, rotated.
#[derive(Debug, Clone)]
pub struct Direction(Vec<f32>);

/// Rotates vectors of some dimensions.
#[derive(Debug)]
pub struct Rotator {
    dimensions: usize,
    rotation: Rotation,
}

impl Rotator {
    /// `None` unless the dimensions are 1 to 16,000.
    pub fn new(dimensions: usize) -> Option<Rotator> {
        Mean::new(dimensions)?;
        Some(Rotator {
            dimensions,
            rotation: Rotation::new(padded(dimensions)),
        })
    }

    /// `None` if the vector has other dimensions, a number that is not finite, or only zeros.
    pub fn direction(&self, vector: &[f32]) -> Option<Direction> {
        rotated_unit(vector, self.dimensions, &self.rotation).map(Direction)
    }
}

impl Direction {
    /// The cosine similarity.
    pub fn similarity(&self, other: &Direction) -> f64 {
        f64::from(product(&self.0, &other.0))
    }
}

/// The means of cells, in groups of means that are near each other.
#[derive(Debug)]
struct Means {
    length: usize,
    /// One after the other.
    numbers: Vec<f32>,
    /// Half of the square of each.
    halves: Vec<f32>,
}

impl Means {
    fn new(length: usize, numbers: Vec<f32>) -> Means {
        let halves = numbers
            .chunks_exact(length)
            .map(|mean| product(mean, mean) / 2.0)
            .collect();
        Means {
            length,
            numbers,
            halves,
        }
    }

    fn len(&self) -> usize {
        self.halves.len()
    }

    fn of(&self, place: usize) -> &[f32] {
        &self.numbers[place * self.length..][..self.length]
    }

    /// The higher, the nearer a vector is to a mean.
    fn nearness(&self, place: usize, vector: &[f32]) -> f32 {
        product(self.of(place), vector) - self.halves[place]
    }

    fn nearest(&self, vector: &[f32]) -> usize {
        nearest_of(0..self.len(), |place| self.nearness(place, vector))
    }

    /// Each becomes the mean of the vectors that are nearest to it.
    fn moved(
        &self,
        vectors: &[&[f32]],
        nearest: impl Fn(&[&[f32]]) -> Vec<usize>,
        interrupt: Interrupt,
    ) -> Means {
        let mut sums = vec![0.0; self.numbers.len()];
        let mut counts = vec![0u32; self.len()];
        let mut strays: Vec<&[f32]> = Vec::new();
        let places = vectors.chunks(TOGETHER).flat_map(|some| {
            interrupt.check();
            nearest(some)
        });
        for ((number, vector), place) in vectors.iter().enumerate().zip(places) {
            counts[place] += 1;
            for (sum, number) in sums[place * self.length..][..self.length].iter_mut().zip(*vector) {
                *sum += number;
            }
            // Any vector is better than a mean without vectors.
            if number.is_multiple_of(97) {
                strays.push(vector);
            }
        }
        let mut strays = strays.into_iter();
        for (mean, &count) in sums.chunks_exact_mut(self.length).zip(&counts) {
            if count > 0 {
                mean.iter_mut().for_each(|number| *number /= count as f32);
            } else if let Some(stray) = strays.next() {
                mean.copy_from_slice(stray);
            }
        }
        Means::new(self.length, sums)
    }
}

/// Means that are found by groups. The nearest one is found nearly always.
#[derive(Debug)]
struct Grouped {
    means: Means,
    groups: Means,
    members: Vec<Vec<usize>>,
}

impl Grouped {
    fn new(means: Means, interrupt: Interrupt) -> Grouped {
        let each: Vec<&[f32]> = (0..means.len()).map(|place| means.of(place)).collect();
        let count = means.len().isqrt().max(1);
        let mut groups = Means::new(
            means.length,
            spread(means.len(), count)
                .flat_map(|place| each[place])
                .copied()
                .collect(),
        );
        let nearest =
            |groups: &Means, means: &[&[f32]]| means.iter().map(|mean| groups.nearest(mean)).collect();
        for _ in 0..ROUNDS / 2 {
            groups = groups.moved(&each, |means| nearest(&groups, means), interrupt);
        }
        let mut members = vec![Vec::new(); groups.len()];
        for (place, mean) in each.iter().enumerate() {
            members[groups.nearest(mean)].push(place);
        }
        Grouped {
            means,
            groups,
            members,
        }
    }

    /// The groups that are nearest to a vector.
    fn probed(&self, vector: &[f32]) -> impl Iterator<Item = usize> {
        let mut groups: Vec<(f32, usize)> = (0..self.groups.len())
            .filter(|&group| !self.members[group].is_empty())
            .map(|group| (self.groups.nearness(group, vector), group))
            .collect();
        if groups.len() > PROBES {
            groups.select_nth_unstable_by(PROBES - 1, |left, right| right.0.total_cmp(&left.0));
            groups.truncate(PROBES);
        }
        groups.into_iter().map(|(_, group)| group)
    }

    /// The nearest mean of each vector.
    fn nearest_of_each(&self, vectors: &[&[f32]]) -> Vec<usize> {
        let mut probing = vec![Vec::new(); self.groups.len()];
        for (number, vector) in vectors.iter().enumerate() {
            self.probed(vector).for_each(|group| probing[group].push(number));
        }
        let mut nearest = vec![(f32::NEG_INFINITY, 0); vectors.len()];
        for (probing, members) in probing.iter().zip(&self.members) {
            for &place in members {
                for &number in probing {
                    let nearness = self.means.nearness(place, vectors[number]);
                    if nearness > nearest[number].0 {
                        nearest[number] = (nearness, place);
                    }
                }
            }
        }
        nearest.into_iter().map(|(_, place)| place).collect()
    }
}

/// The place with the highest nearness. There is one.
fn nearest_of(places: impl Iterator<Item = usize>, nearness: impl Fn(usize) -> f32) -> usize {
    places
        .map(|place| (nearness(place), place))
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map_or(0, |(_, place)| place)
}

/// Some of the places of a list, at equal distances.
fn spread(of: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |number| number * of / count)
}

/// The cells of a project.
#[derive(Debug)]
pub struct Cells {
    centroids: Vec<Centroid>,
    /// Those of all but the last centroid, which is that of the rest.
    means: Grouped,
    bound: Bound,
}

impl Cells {
    /// Finds so many cells, for `total` vectors of which these are a sample. `None` if the sample has fewer vectors than twice
    /// the cells, or vectors of several dimensions.
    pub fn train(
        sample: &[Direction],
        rotator: &Rotator,
        cells: usize,
        total: usize,
        interrupt: Interrupt,
    ) -> Option<Cells> {
        let length = padded(rotator.dimensions);
        if cells == 0
            || sample.len() < 2 * cells.max(HELD_OUT)
            || sample.iter().any(|one| one.0.len() != length)
        {
            return None;
        }
        let trained: Vec<&[f32]> = every(sample, |number| !number.is_multiple_of(HELD_OUT));
        let first = spread(trained.len(), cells).flat_map(|place| trained[place]);
        let mut means = Grouped::new(Means::new(length, first.copied().collect()), interrupt);
        for _ in 0..ROUNDS {
            let moved = means
                .means
                .moved(&trained, |vectors| means.nearest_of_each(vectors), interrupt);
            means = Grouped::new(moved, interrupt);
        }
        let resolution = Resolution::of(rotator.dimensions, total);
        let centroid = |numbers: Vec<f32>| Centroid {
            dimensions: rotator.dimensions,
            resolution,
            numbers,
        };
        let mut centroids: Vec<Centroid> = (0..cells)
            .map(|place| centroid(means.means.of(place).to_vec()))
            .collect();
        let one = Means::new(length, vec![0.0; length]);
        centroids.push(centroid(
            one.moved(&trained, |vectors| vec![0; vectors.len()], interrupt)
                .numbers,
        ));
        let held_out = every(sample, |number| number.is_multiple_of(HELD_OUT));
        let mut fits: Vec<f32> = held_out
            .iter()
            .zip(means.nearest_of_each(&held_out))
            .map(|(vector, place)| product(means.means.of(place), vector))
            .collect();
        fits.sort_unstable_by(f32::total_cmp);
        let least = fits[(fits.len() as f64 * FAR) as usize];
        let bound = Bound { least, ..Bound::NONE };
        Some(Cells {
            centroids,
            means,
            bound,
        })
    }

    /// Takes over the means of cells, the last of which is the rest. `None` if they are not those of cells.
    pub fn parse<'a>(
        centroids: impl Iterator<Item = &'a [u8]>,
        bound: &[u8],
        interrupt: Interrupt,
    ) -> Option<Cells> {
        let centroids: Vec<Centroid> = centroids.map(Centroid::parse).collect::<Option<_>>()?;
        let (rest, cells) = centroids.split_last()?;
        let fits = |cell: &Centroid| (cell.dimensions, cell.resolution) == (rest.dimensions, rest.resolution);
        if cells.is_empty() || !cells.iter().all(fits) {
            return None;
        }
        let numbers = cells.iter().flat_map(|cell| &cell.numbers).copied().collect();
        Some(Cells {
            means: Grouped::new(Means::new(rest.numbers.len(), numbers), interrupt),
            bound: Bound::parse(bound)?,
            centroids,
        })
    }

    /// How many there are, with the rest.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.centroids.len()
    }

    /// How many dimensions the vectors have.
    pub fn dimensions(&self) -> usize {
        self.centroids[0].dimensions
    }

    /// The means, that of the rest last.
    pub fn centroids(&self) -> impl Iterator<Item = Vec<u8>> {
        self.centroids.iter().map(Centroid::to_bytes)
    }

    /// What searches need to know.
    pub fn bound(&self) -> Bound {
        self.bound
    }

    /// The cell that each vector belongs to. `None` if that is the rest.
    fn cell_of_each(&self, vectors: &[&[f32]]) -> impl Iterator<Item = Option<usize>> {
        let places = self.means.nearest_of_each(vectors).into_iter().zip(vectors);
        places.map(|(place, vector)| {
            (product(self.means.means.of(place), vector) >= self.bound.least).then_some(place)
        })
    }

    /// The similarities of a query with a near vector, and with the mean of its cell. `None` for the rest.
    pub fn pair(&self, query: &Direction, near: &Direction) -> Option<(f64, f64)> {
        let mean = self.means.means.of(self.cell_of_each(&[&near.0]).next()??);
        Some((query.similarity(near), f64::from(product(mean, &query.0))))
    }

    /// Learns from pairs which cells a search can leave out.
    pub fn measure(&mut self, pairs: &[(f64, f64)]) {
        self.bound = Bound {
            least: self.bound.least,
            ..Bound::fit(pairs)
        };
    }
}

/// The vectors with these numbers.
fn every(sample: &[Direction], wanted: fn(usize) -> bool) -> Vec<&[f32]> {
    let numbered = sample.iter().enumerate().filter(|(number, _)| wanted(*number));
    numbered.map(|(_, one)| one.0.as_slice()).collect()
}

/// Encodes vectors for cells.
#[derive(Debug)]
pub struct CellWriter<'a> {
    cells: &'a Cells,
    rotator: Rotator,
    /// Not encoded yet.
    waiting: Vec<(Id, Vec<f32>)>,
    writers: Vec<Option<Writer>>,
    counts: Vec<usize>,
}

/// What was added to a cell.
#[derive(Debug)]
pub struct Added {
    /// The place of the cell.
    pub cell: usize,
    /// How many codes were added.
    pub count: usize,
    /// The pages that take the place of the page that was begun.
    pub pages: Vec<Vec<u8>>,
}

impl<'a> CellWriter<'a> {
    /// `begun` is a page of each cell that may have room for more, if there is one. `None` if a page is not one of the cell's.
    pub fn new<'b>(
        cells: &'a Cells,
        begun: impl Iterator<Item = Option<&'b [u8]>>,
    ) -> Option<CellWriter<'a>> {
        let mut writers: Vec<Option<Writer>> = Vec::new();
        for (page, centroid) in begun.zip(&cells.centroids) {
            writers.push(match page {
                Some(page) => Some(Writer::continued(
                    &Page::parse(page)?,
                    centroid.dimensions,
                    centroid.resolution.bits,
                )?),
                None => None,
            });
        }
        (writers.len() == cells.len()).then_some(CellWriter {
            cells,
            rotator: Rotator::new(cells.dimensions())?,
            waiting: Vec::new(),
            counts: vec![0; writers.len()],
            writers,
        })
    }

    /// Returns whether the vector is encoded. It is not if it has other dimensions, a number that is not finite, or only zeros.
    pub fn push(&mut self, id: Id, vector: &[f32]) -> bool {
        let Some(Direction(direction)) = self.rotator.direction(vector) else {
            return false;
        };
        self.waiting.push((id, direction));
        if self.waiting.len() == TOGETHER {
            self.encode();
        }
        true
    }

    fn encode(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let vectors: Vec<&[f32]> = waiting.iter().map(|(_, vector)| vector.as_slice()).collect();
        let places: Vec<_> = self.cells.cell_of_each(&vectors).collect();
        for ((id, vector), place) in waiting.into_iter().zip(places) {
            let place = place.unwrap_or(self.cells.len() - 1);
            let centroid = &self.cells.centroids[place];
            let writer = self.writers[place]
                .get_or_insert_with(|| Writer::new(centroid.dimensions, centroid.resolution.bits));
            let (code, factors) = encode_rest(vector, centroid);
            writer.push(id, &code, factors);
            self.counts[place] += 1;
        }
    }

    /// What was added, by cell.
    pub fn finish(mut self) -> impl Iterator<Item = Added> {
        self.encode();
        let cells = self.writers.into_iter().zip(self.counts).enumerate();
        cells
            .filter(|(_, (_, count))| *count > 0)
            .filter_map(|(cell, (writer, count))| {
                let pages = writer?.finish();
                Some(Added { cell, count, pages })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{id, kinds, number};
    use super::super::{Candidates, Query};
    use super::*;
    use proptest::prelude::*;

    const DIMENSIONS: usize = 100;

    fn directions(vectors: &[Vec<f32>]) -> (Rotator, Vec<Direction>) {
        let rotator = Rotator::new(vectors[0].len()).unwrap();
        let directions = vectors
            .iter()
            .filter_map(|vector| rotator.direction(vector))
            .collect();
        (rotator, directions)
    }

    /// The similarities of a query with vectors, and their places, the nearest first.
    fn ordered(query: &Direction, directions: &[Direction]) -> Vec<(f64, usize)> {
        let similarities = directions.iter().map(|one| query.similarity(one));
        let mut order: Vec<(f64, usize)> = similarities.zip(0..).collect();
        order.sort_by(|left, right| right.0.total_cmp(&left.0));
        order
    }

    /// Cells of vectors, measured on some of them as queries.
    fn measured(vectors: &[Vec<f32>], count: usize) -> Option<Cells> {
        let (rotator, directions) = directions(vectors);
        let mut cells = Cells::train(&directions, &rotator, count, vectors.len(), Interrupt::NEVER)?;
        let pairs: Vec<(f64, f64)> = directions
            .iter()
            .step_by(vectors.len() / 40)
            .flat_map(|query| {
                let order = ordered(query, &directions);
                let pair = |rank: usize| cells.pair(query, &directions[order.get(rank + 1)?.1]);
                [0, 1, 3, 9, 30, 99]
                    .into_iter()
                    .filter_map(pair)
                    .collect::<Vec<_>>()
            })
            .collect();
        cells.measure(&pairs);
        Some(cells)
    }

    /// Writes vectors to cells in two steps. Returns the pages of each cell.
    fn written(cells: &Cells, vectors: &[Vec<f32>]) -> Vec<Vec<Vec<u8>>> {
        let mut pages: Vec<Vec<Vec<u8>>> = vec![Vec::new(); cells.len()];
        let half = vectors.len() / 2;
        for (first, part) in [(0, &vectors[..half]), (half, &vectors[half..])] {
            let begun: Vec<Option<Vec<u8>>> = pages.iter().map(|pages| pages.last().cloned()).collect();
            let mut writer = CellWriter::new(cells, begun.iter().map(|page| page.as_deref())).unwrap();
            for (place, vector) in part.iter().enumerate() {
                writer.push(id(first + place), vector);
            }
            for added in writer.finish() {
                pages[added.cell].pop();
                pages[added.cell].extend(added.pages);
            }
        }
        pages
    }

    /// The numbers of the nearest, and the share of the codes that was read.
    fn found(cells: &Cells, pages: &[Vec<Vec<u8>>], query: &[f32], count: usize) -> (Vec<usize>, f64) {
        let query = Query::new(query).unwrap();
        let centroids: Vec<Vec<u8>> = cells.centroids().collect();
        let reach = |place: usize| match place + 1 == cells.len() {
            true => f32::INFINITY,
            false => cells.bound().reach(query.mean(&centroids[place]).unwrap()),
        };
        let mut order: Vec<(f32, usize)> = (0..cells.len()).map(|place| (reach(place), place)).collect();
        order.sort_by(|left, right| right.0.total_cmp(&left.0));
        let (mut candidates, mut read, mut all) = (Candidates::new(count), 0, 0);
        for (reach, place) in order {
            let list = query.against(&centroids[place]).unwrap();
            let is_read = candidates.is_near(reach);
            for page in &pages[place] {
                let page = Page::parse(page).unwrap();
                all += page.len();
                read += if is_read { page.len() } else { 0 };
                assert!(!is_read || list.scan(&page, &mut candidates, |_| true));
            }
        }
        let near = candidates.finish().candidates;
        (
            near.iter().map(|candidate| number(&candidate.id)).collect(),
            read as f64 / all as f64,
        )
    }

    #[test]
    fn candidates_from_cells_have_the_nearest_of_vectors_of_all_kinds() {
        for (name, vectors) in kinds(DIMENSIONS, 1000) {
            let (rotator, directions) = directions(&vectors);
            let cells = measured(&vectors, 20).unwrap();
            let pages = written(&cells, &vectors);
            let (mut right, mut asked) = (0, 0);
            for query in vectors.iter().step_by(37) {
                let (found, _) = found(&cells, &pages, query, 10);
                let Some(query) = rotator.direction(query) else {
                    continue;
                };
                let least = ordered(&query, &directions)[9].0 - 1e-6;
                let near = |place: &&usize| {
                    rotator
                        .direction(&vectors[**place])
                        .is_some_and(|one| query.similarity(&one) >= least)
                };
                right += found.iter().filter(near).count().min(10);
                asked += 10;
            }
            assert!(
                asked > 100 && f64::from(asked) * 0.99 <= right as f64,
                "{name}: {right} of {asked}"
            );
        }
    }

    #[test]
    fn a_search_of_clustered_vectors_reads_few_codes_and_one_of_random_vectors_most() {
        let mut normal = super::super::tests::normal(3);
        let mut random = |scale: f32| (0..DIMENSIONS).map(|_| scale * normal()).collect::<Vec<f32>>();
        let centres: Vec<Vec<f32>> = (0..30).map(|_| random(1.0)).collect();
        let clustered: Vec<Vec<f32>> = (0..1000)
            .map(|place| {
                centres[place % 30]
                    .iter()
                    .zip(random(0.4))
                    .map(|(centre, noise)| centre + noise)
                    .collect()
            })
            .collect();
        let alone: Vec<Vec<f32>> = (0..1000).map(|_| random(1.0)).collect();
        let share = |vectors: &[Vec<f32>]| {
            let cells = measured(vectors, 30).unwrap();
            let pages = written(&cells, vectors);
            let shares = (0..20).map(|query| found(&cells, &pages, &vectors[query * 41], 10).1);
            shares.sum::<f64>() / 20.0
        };
        let (of_clustered, of_alone) = (share(&clustered), share(&alone));
        assert!(of_clustered < 0.3 && of_alone > 0.8, "{of_clustered} {of_alone}");
    }

    #[test]
    fn each_vector_has_one_code_and_all_pages_but_the_last_are_full() {
        let (_, vectors) = kinds(DIMENSIONS, 1000).swap_remove(0);
        let cells = measured(&vectors, 8).unwrap();
        let pages = written(&cells, &vectors);
        let mut ids: Vec<usize> = Vec::new();
        for pages in &pages {
            let pages: Vec<Page> = pages.iter().map(|page| Page::parse(page).unwrap()).collect();
            assert!(pages.windows(2).all(|two| two[0].len() == pages[0].len()));
            ids.extend(pages.iter().flat_map(|page| page.ids()).map(number));
        }
        ids.sort_unstable();
        assert_eq!(ids, (0..1000).collect::<Vec<usize>>());
    }

    #[test]
    fn cells_are_read_as_they_are_written() {
        let (_, vectors) = kinds(DIMENSIONS, 1000).swap_remove(0);
        let cells = measured(&vectors, 12).unwrap();
        let centroids: Vec<Vec<u8>> = cells.centroids().collect();
        let bound = cells.bound().to_bytes();
        let read = Cells::parse(centroids.iter().map(Vec::as_slice), &bound, Interrupt::NEVER).unwrap();
        assert_eq!(read.bound(), cells.bound());
        assert_eq!(written(&read, &vectors), written(&cells, &vectors));
        for wrong in [&bound[1..], &[]] {
            assert!(Cells::parse(centroids.iter().map(Vec::as_slice), wrong, Interrupt::NEVER).is_none());
        }
        assert!(Cells::parse(centroids[..1].iter().map(Vec::as_slice), &bound, Interrupt::NEVER).is_none());
        assert!(CellWriter::new(&cells, std::iter::repeat_n(None, 12)).is_none());
        assert!(CellWriter::new(&cells, std::iter::repeat_n(Some(&bound[..]), 13)).is_none());
    }

    #[test]
    fn too_small_samples_have_no_cells() {
        let (_, vectors) = kinds(DIMENSIONS, 30).swap_remove(0);
        let (rotator, directions) = directions(&vectors);
        for (sample, cells) in [(0, 1), (15, 1), (30, 16), (30, 0)] {
            assert!(Cells::train(&directions[..sample], &rotator, cells, 30, Interrupt::NEVER).is_none());
        }
        assert!(Cells::train(&directions, &rotator, 15, 30, Interrupt::NEVER).is_some());
    }

    #[test]
    fn bounds_of_pairs_that_say_nothing_exclude_nothing() {
        let flat: Vec<(f64, f64)> = (0..200).map(|number| (f64::from(number) / 200.0, 0.3)).collect();
        let few = vec![(0.5, 0.2), (0.9, 0.6)];
        let equal = vec![(0.5, 0.2); 200];
        for pairs in [vec![], few, flat, equal] {
            assert_eq!(Bound::fit(&pairs).reach(-1.0), f32::INFINITY);
        }
    }

    proptest! {
        #[test]
        fn bounds_of_a_line_keep_what_is_near_it(slope in 0.1f64..1.0, height in -0.5f64..0.5, noise in 0.0f64..0.05) {
            let pairs: Vec<(f64, f64)> = (0..400)
                .map(|number| f64::from(number) / 400.0)
                .map(|x| (x, height + slope * x + noise * (x * 7919.0).sin()))
                .collect();
            let bound = Bound::fit(&pairs);
            prop_assert_eq!(Bound::parse(&bound.to_bytes()), Some(bound));
            for (x, y) in pairs {
                prop_assert!(f64::from(bound.reach(y as f32)) >= x - 1e-4);
                prop_assert!(f64::from(bound.reach((y - slope - 5.0 * noise) as f32)) < x);
            }
        }

        #[test]
        fn any_bytes_are_a_bound_or_none(bytes in prop::collection::vec(any::<u8>(), 0..20), mean in any::<f32>()) {
            if let Some(bound) = Bound::parse(&bytes) {
                prop_assert!(!bound.reach(mean).is_nan());
            }
        }
    }
}
