//! The layout of a page of codes.
//!
//! All numbers are little-endian. `n` is the number of codes, `D` the dimensions rounded up to 64, `b` the bits a number.
//!
//! | bytes | what |
//! |---|---|
//! | 1, 1, 2, 2, 2 | version, `b`, dimensions, `n`, zero |
//! | `n · b · D / 8` | codes, each of `b` planes, the lowest bits first: bit `i` of word `w` belongs to number `64 w + i` |
//! | `n · 4` | `µ·r` of each code |
//! | `n · 4` | `f` of each code |
//! | `n · 4` | `e` of each code |
//! | `n · 16` | ids |

use super::{Id, MAX_DIMENSIONS, Resolution, VERSION, code_bytes};

/// How many bytes a page has at most, unless one code alone is longer. A heap tuple has at most 8160. The rest is for its
/// header and the other columns.
pub const PAGE_BYTES: usize = 7_960;
const HEADER_BYTES: usize = 8;
const FACTOR_BYTES: usize = size_of::<f32>();
/// What stands beside a code.
const BESIDE_BYTES: usize = 3 * FACTOR_BYTES + size_of::<Id>();

/// The numbers beside a code.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Factors {
    /// `µ·r`.
    pub(super) along: f32,
    /// `f`.
    pub(super) scale: f32,
    /// `e`.
    pub(super) error: f32,
}

/// A page that was checked, as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    pub(super) bits: u32,
    dimensions: usize,
    codes: &'a [u8],
    along: &'a [[u8; FACTOR_BYTES]],
    scale: &'a [[u8; FACTOR_BYTES]],
    error: &'a [[u8; FACTOR_BYTES]],
    ids: &'a [Id],
}

impl<'a> Page<'a> {
    /// `None` if the bytes are no page. They may be any bytes at any address.
    pub fn parse(bytes: &'a [u8]) -> Option<Page<'a>> {
        let (&[version, bits, d0, d1, n0, n1, _, _], rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let dimensions = usize::from(u16::from_le_bytes([d0, d1]));
        let count = usize::from(u16::from_le_bytes([n0, n1]));
        let resolution = Resolution::of_bits(bits)?;
        if version != VERSION || dimensions == 0 || dimensions > MAX_DIMENSIONS || count == 0 {
            return None;
        }
        let (codes, rest) = rest.split_at_checked(count * code_bytes(dimensions, resolution.bits))?;
        let (along, rest) = rest.split_at_checked(count * FACTOR_BYTES)?;
        let (scale, rest) = rest.split_at_checked(count * FACTOR_BYTES)?;
        let (error, ids) = rest.split_at_checked(count * FACTOR_BYTES)?;
        let (ids, []) = ids.as_chunks() else { return None };
        (ids.len() == count).then_some(Page {
            bits: resolution.bits,
            dimensions,
            codes,
            along: along.as_chunks().0,
            scale: scale.as_chunks().0,
            error: error.as_chunks().0,
            ids,
        })
    }

    /// How many codes the page has: at least 1.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// How many dimensions the vectors have.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The ids of the codes.
    pub fn ids(&self) -> &'a [Id] {
        self.ids
    }

    /// Some codes from the first one on, as bytes.
    pub(super) fn codes(&self, first: usize, count: usize) -> &'a [u8] {
        let bytes = code_bytes(self.dimensions, self.bits);
        &self.codes[first * bytes..][..count * bytes]
    }

    /// The factors of some codes from the first one on.
    #[inline]
    pub(super) fn factors(&self, first: usize, count: usize) -> impl Iterator<Item = Factors> + use<'a> {
        let of = |numbers: &'a [[u8; FACTOR_BYTES]]| {
            numbers[first..][..count]
                .iter()
                .map(|number| f32::from_le_bytes(*number))
        };
        let three = of(self.along).zip(of(self.scale)).zip(of(self.error));
        three.map(|((along, scale), error)| Factors { along, scale, error })
    }
}

/// Collects codes of one list and writes them as pages.
#[derive(Debug)]
pub(super) struct Writer {
    bits: u32,
    dimensions: usize,
    /// How many codes a page has.
    capacity: usize,
    codes: Vec<u8>,
    factors: Vec<Factors>,
    ids: Vec<Id>,
    pages: Vec<Vec<u8>>,
}

impl Writer {
    pub(super) fn new(dimensions: usize, bits: u32) -> Writer {
        let bytes = code_bytes(dimensions, bits) + BESIDE_BYTES;
        Writer {
            bits,
            dimensions,
            capacity: ((PAGE_BYTES - HEADER_BYTES) / bytes).max(1),
            codes: Vec::new(),
            factors: Vec::new(),
            ids: Vec::new(),
            pages: Vec::new(),
        }
    }

    /// Goes on with the codes of a page. `None` unless they are of these dimensions and bits.
    pub(super) fn continued(page: &Page, dimensions: usize, bits: u32) -> Option<Writer> {
        let mut writer = Writer::new(dimensions, bits);
        if (page.dimensions, page.bits) != (dimensions, bits) {
            return None;
        }
        writer.codes.extend(page.codes);
        writer.factors.extend(page.factors(0, page.len()));
        writer.ids.extend(page.ids);
        if writer.ids.len() >= writer.capacity {
            writer.end_page();
        }
        Some(writer)
    }

    pub(super) fn push(&mut self, id: Id, code: &[u64], factors: Factors) {
        self.codes.extend(code.iter().flat_map(|word| word.to_le_bytes()));
        self.factors.push(factors);
        self.ids.push(id);
        if self.ids.len() == self.capacity {
            self.end_page();
        }
    }

    pub(super) fn finish(mut self) -> Vec<Vec<u8>> {
        if !self.ids.is_empty() {
            self.end_page();
        }
        self.pages
    }

    fn end_page(&mut self) {
        let mut page = vec![VERSION, self.bits as u8];
        // Both fit: dimensions are at most 16,000, and no code is shorter than 36 bytes with what is beside it.
        page.extend((self.dimensions as u16).to_le_bytes());
        page.extend((self.ids.len() as u16).to_le_bytes());
        page.extend([0, 0]);
        page.append(&mut self.codes);
        let numbers: [fn(&Factors) -> f32; 3] = [
            |factors| factors.along,
            |factors| factors.scale,
            |factors| factors.error,
        ];
        for number in numbers {
            page.extend(
                self.factors
                    .iter()
                    .flat_map(|factors| number(factors).to_le_bytes()),
            );
        }
        page.extend(self.ids.as_flattened());
        self.factors.clear();
        self.ids.clear();
        self.pages.push(page);
    }
}
