//! The word index: which texts of a project have which words, and BM25 over it.
//!
//! An index is a list of segments, in the manner of Lucene. A segment holds the words of some texts, is built once, and never
//! changes. Deleted texts are listed apart, until a merge of segments leaves them out. So the index of a project is plain rows
//! of a table: a transaction sees exactly the segments and the deletions that belong to the texts it sees.
//!
//! - [`segment`]: builds, reads and merges segments.
//! - [`rank`]: finds the best texts for a query.

pub mod rank;
pub mod segment;
#[cfg(test)]
mod tests;

use crate::Error;

/// The 16 bytes of the UUID of a text.
pub type Id = [u8; 16];

/// The bytes are no part of an index. Loops over postings return this, since an [`Error`] is large and slow to pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

impl From<Damaged> for Error {
    fn from(_: Damaged) -> Self {
        Error::DamagedIndex
    }
}

/// Appends a number of seven bits per byte, the lowest first. The highest bit says that another byte follows.
fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads what a table of the index holds. The bytes may be damaged, so every step is checked.
#[derive(Clone)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    fn number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(Damaged)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damaged)
    }

    /// The bytes of a value that its length precedes.
    fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let length = usize::try_from(self.number()?).map_err(|_| Damaged)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Damaged)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (&bytes, rest) = self.0.split_first_chunk::<N>().ok_or(Damaged)?;
        self.0 = rest;
        Ok(bytes)
    }
}
