//! Builds, reads and merges segments of the word index.
//!
//! A segment is a list of texts and some blocks. A block holds words in byte order, each with its postings: the texts that
//! have the word, and how often. A text is known in its segment by its place in the list.

use super::{Damaged, Error, Id, Reader, push_number};
use crate::Interrupt;
use crate::word_vector::{Entry, entries};
use std::collections::{BTreeMap, HashMap};

/// How many bytes a block should have. A row of this size is stored in its page, and found by one read.
const BLOCK_BYTES: usize = 1800;
/// The bytes of a text in the list: its id, its fingerprint, and its length in words.
const TEXT_BYTES: usize = 26;
/// The bytes of a text in a list of deletions: its id and its fingerprint.
const DELETED_BYTES: usize = 24;
/// The weights of positions in a vector that say the lexeme is only a stem, or only written so.
const STEM: u16 = 0;
const WRITTEN: u16 = 2;

/// A text in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    /// The id of the text's row.
    pub id: Id,
    /// A hash of the text's words and positions. It tells the versions of a text apart.
    pub fingerprint: u64,
}

/// How often a text has a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// How many words of the text have it as their stem.
    pub stems: u16,
    /// How many words of the text are written so.
    pub written: u16,
}

/// The texts of a segment.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a>(&'a [u8]);

impl<'a> Texts<'a> {
    /// # Errors
    /// [`Error::DamagedIndex`] unless `bytes` is a list of texts.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        match bytes.len() % TEXT_BYTES {
            0 => Ok(Texts(bytes)),
            _ => Err(Error::DamagedIndex),
        }
    }

    /// How many texts the segment has, with those that are deleted.
    pub fn count(&self) -> usize {
        self.0.len() / TEXT_BYTES
    }

    /// The texts, each with its length in words.
    pub fn all(&self) -> impl Iterator<Item = (Version, u16)> + 'a {
        self.0.chunks_exact(TEXT_BYTES).map(|bytes| {
            let mut reader = Reader(bytes);
            // The chunks have the right size, so nothing is missing.
            let version = version(&mut reader).unwrap_or(Version {
                id: [0; 16],
                fingerprint: 0,
            });
            (version, reader.array().map_or(0, u16::from_le_bytes))
        })
    }

    /// The id of the text at this place.
    pub fn id(&self, place: usize) -> Option<Id> {
        Reader(self.0.get(place * TEXT_BYTES..)?).array().ok()
    }
}

fn version(reader: &mut Reader) -> Result<Version, Damaged> {
    Ok(Version {
        id: reader.array()?,
        fingerprint: u64::from_le_bytes(reader.array()?),
    })
}

/// Reads a list of deletions.
///
/// # Errors
/// [`Error::DamagedIndex`] unless `bytes` is one.
fn deleted(bytes: &[u8]) -> Result<impl Iterator<Item = Version> + '_, Error> {
    if !bytes.len().is_multiple_of(DELETED_BYTES) {
        return Err(Error::DamagedIndex);
    }
    Ok(bytes
        .chunks_exact(DELETED_BYTES)
        .filter_map(|bytes| version(&mut Reader(bytes)).ok()))
}

/// Writes a list of deletions.
pub fn deletions(versions: impl IntoIterator<Item = Version>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for version in versions {
        bytes.extend(version.id);
        bytes.extend(version.fingerprint.to_le_bytes());
    }
    bytes
}

/// How often a vector has a lexeme, and the last position where.
fn count(entry: &Entry) -> (Count, u16) {
    let (mut count, mut last) = (Count::default(), 0);
    for (position, weight) in entry.positions() {
        count.stems += u16::from(weight != WRITTEN);
        count.written += u16::from(weight != STEM);
        last = last.max(position);
    }
    if last == 0 {
        // Without positions, in a vector of too many words.
        count = Count { stems: 1, written: 1 };
    }
    (count, last)
}

/// A hash of a vector's lexemes and positions (FNV-1a, whose definition never changes: the index stores it).
pub fn fingerprint(vector: &[u8]) -> u64 {
    vector.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// A segment that was built.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Built {
    /// The list of texts.
    pub texts: Vec<u8>,
    /// Words of all texts together.
    pub length: u64,
    /// Each block, with its first word.
    pub blocks: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Built {
    /// How many texts the segment has.
    pub fn count(&self) -> usize {
        self.texts.len() / TEXT_BYTES
    }

    fn push_text(&mut self, version: Version, length: u16) {
        self.texts.extend(version.id);
        self.texts.extend(version.fingerprint.to_le_bytes());
        self.texts.extend(length.to_le_bytes());
        self.length += u64::from(length);
    }

    /// Words must come in byte order.
    fn push_word(&mut self, word: &[u8], postings: &[u8]) {
        if self
            .blocks
            .last()
            .is_none_or(|(_, block)| block.len() + word.len() + postings.len() > BLOCK_BYTES)
        {
            self.blocks.push((word.to_vec(), Vec::new()));
        }
        if let Some((_, block)) = self.blocks.last_mut() {
            push_number(block, word.len() as u64);
            block.extend(word);
            push_number(block, postings.len() as u64);
            block.extend(postings);
        }
    }
}

/// Postings of a word while they are written.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    /// The place after the last one.
    next: u64,
}

impl Writer {
    /// A posting is the number of texts skipped since the last one, and in the lower two bits the count: 0 for a stem, 1 for a
    /// word that is its stem, 2 for a word that is not, 3 if both numbers of the count follow.
    ///
    /// # Errors
    /// [`Damaged`] unless `place` is behind the last one.
    fn push(&mut self, place: u64, count: Count) -> Result<(), Damaged> {
        let skipped = place.checked_sub(self.next).ok_or(Damaged)?;
        let code = match count {
            Count { stems: 1, written: 0 } => 0,
            Count { stems: 1, written: 1 } => 1,
            Count { stems: 0, written: 1 } => 2,
            _ => 3,
        };
        push_number(&mut self.bytes, skipped << 2 | code);
        if code == 3 {
            push_number(&mut self.bytes, count.stems.into());
            push_number(&mut self.bytes, count.written.into());
        }
        self.next = place + 1;
        Ok(())
    }
}

/// Postings of a word: the place of each text that has it, in order, and how often.
#[derive(Clone)]
pub struct Postings<'a> {
    reader: Reader<'a>,
    next: u64,
}

impl<'a> Postings<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Postings {
            reader: Reader(bytes),
            next: 0,
        }
    }
}

impl Iterator for Postings<'_> {
    type Item = Result<(u64, Count), Damaged>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_at_end() {
            return None;
        }
        Some(self.read())
    }
}

impl Postings<'_> {
    #[inline]
    fn read(&mut self) -> Result<(u64, Count), Damaged> {
        let number = self.reader.number()?;
        let place = self.next.checked_add(number >> 2).ok_or(Damaged)?;
        let count = match number & 3 {
            0 => Count { stems: 1, written: 0 },
            1 => Count { stems: 1, written: 1 },
            2 => Count { stems: 0, written: 1 },
            _ => Count {
                stems: self.count()?,
                written: self.count()?,
            },
        };
        self.next = place.checked_add(1).ok_or(Damaged)?;
        Ok((place, count))
    }

    #[inline]
    fn count(&mut self) -> Result<u16, Damaged> {
        u16::try_from(self.reader.number()?).map_err(|_| Damaged)
    }
}

/// The words of a block with their postings, in order.
///
/// # Errors
/// Items are [`Damaged`] if the bytes are no block.
pub fn words(block: &[u8]) -> impl Iterator<Item = Result<(&[u8], Postings<'_>), Damaged>> {
    let mut reader = Reader(block);
    std::iter::from_fn(move || {
        if reader.is_at_end() {
            return None;
        }
        let mut next = || Ok((reader.bytes()?, Postings::new(reader.bytes()?)));
        let word = next();
        if word.is_err() {
            reader = Reader(&[]);
        }
        Some(word)
    })
}

/// Builds a segment of texts and their vectors for each way that the texts were analysed. Returns each with that way.
///
/// # Errors
/// [`Error::DamagedIndex`] if a vector is none.
pub fn build<'a>(
    texts: impl IntoIterator<Item = (Id, &'a [u8])>,
    interrupt: Interrupt,
) -> Result<Vec<(String, Built)>, Error> {
    let mut building: BTreeMap<&[u8], Building> = BTreeMap::new();
    for (id, vector) in texts {
        interrupt.check();
        let analysis = entries(vector)?.find_map(|entry| entry.ok()?.lexeme.strip_prefix(b" "));
        building
            .entry(analysis.unwrap_or_default())
            .or_default()
            .push(id, vector)?;
    }
    let name = |analysis: &[u8]| String::from_utf8_lossy(analysis).into_owned();
    Ok(building
        .into_iter()
        .map(|(analysis, building)| (name(analysis), building.finish()))
        .collect())
}

/// A segment while it is built.
#[derive(Default)]
struct Building<'a> {
    built: Built,
    words: HashMap<&'a [u8], Writer>,
}

impl<'a> Building<'a> {
    fn push(&mut self, id: Id, vector: &'a [u8]) -> Result<(), Error> {
        let place = self.built.count() as u64;
        let (mut length, mut lexemes) = (0, 0u16);
        for entry in entries(vector)? {
            let entry = entry?;
            if !entry.lexeme.starts_with(b" ") {
                let (count, last) = count(&entry);
                self.words.entry(entry.lexeme).or_default().push(place, count)?;
                length = length.max(last);
                lexemes = lexemes.saturating_add(1);
            }
        }
        if length == 0 {
            // Without positions it is a long text of different words.
            length = lexemes;
        }
        self.built.push_text(
            Version {
                id,
                fingerprint: fingerprint(vector),
            },
            length,
        );
        Ok(())
    }

    fn finish(mut self) -> Built {
        let mut words: Vec<_> = self.words.into_iter().collect();
        words.sort_unstable_by_key(|&(word, _)| word);
        for (word, writer) in words {
            self.built.push_word(word, &writer.bytes);
        }
        self.built
    }
}

/// Tells fast that a number is none of a set, in most cases. So a loop over all texts rarely looks into a hash table.
#[derive(Debug, Default)]
pub(super) struct Filter(Vec<bool>);

impl Filter {
    pub(super) fn new(numbers: impl ExactSizeIterator<Item = u64>) -> Self {
        // An eighth of the places are taken.
        let mut places = vec![false; (8 * numbers.len()).next_power_of_two()];
        let most = places.len() - 1;
        numbers.for_each(|number| places[number as usize & most] = true);
        Filter(places)
    }

    #[inline]
    pub(super) fn may_have(&self, number: u64) -> bool {
        self.0
            .get(number as usize & self.0.len().wrapping_sub(1))
            .is_some_and(|&is_taken| is_taken)
    }
}

/// The deletions of a project: how often each version of a text was deleted. A text that changes to and fro can be deleted
/// more than once in the same version, and then also be there more than once.
#[derive(Debug, Default)]
pub struct Deletions {
    counts: HashMap<Version, u32>,
    fingerprints: Filter,
}

impl Deletions {
    /// # Errors
    /// [`Error::DamagedIndex`] unless each of the lists is a list of deletions.
    pub fn new<'a>(lists: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Error> {
        let mut counts: HashMap<Version, u32> = HashMap::new();
        for list in lists {
            for version in deleted(list)? {
                *counts.entry(version).or_default() += 1;
            }
        }
        let fingerprints = Filter::new(counts.keys().map(|version| version.fingerprint));
        Ok(Deletions { counts, fingerprints })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Takes one deletion of the version away. Returns whether there was one.
    #[inline]
    pub fn take(&mut self, version: Version) -> bool {
        if !self.fingerprints.may_have(version.fingerprint) {
            return false;
        }
        match self.counts.get_mut(&version) {
            Some(0) | None => false,
            Some(count) => {
                *count -= 1;
                true
            }
        }
    }

    /// The list of what was not taken away.
    fn rest(self) -> Vec<u8> {
        deletions(
            self.counts
                .into_iter()
                .flat_map(|(version, count)| std::iter::repeat_n(version, count as usize)),
        )
    }
}

/// The ids of the texts of segments that are not deleted, at most `count` of them.
///
/// # Errors
/// [`Error::DamagedIndex`] if the bytes are no lists of texts.
pub fn live_texts<'a>(
    segments: impl IntoIterator<Item = &'a [u8]>,
    mut deletions: Deletions,
    count: usize,
) -> Result<Vec<Id>, Error> {
    let mut live = Vec::new();
    for texts in segments {
        for (version, _) in Texts::new(texts)?.all() {
            if live.len() < count && !deletions.take(version) {
                live.push(version.id);
            }
        }
    }
    Ok(live)
}

/// A segment as it is stored: its list of texts, and its blocks in the order of their words.
pub struct Stored<'a> {
    /// The list of texts.
    pub texts: &'a [u8],
    /// The blocks.
    pub blocks: Vec<&'a [u8]>,
}

/// Merges segments to one, without the deleted texts. Returns it, and the list of the deletions of texts that are in none of
/// the segments.
///
/// # Errors
/// [`Error::DamagedIndex`] if the bytes are no segments.
pub fn merge(
    segments: &[Stored],
    mut deletions: Deletions,
    interrupt: Interrupt,
) -> Result<(Built, Vec<u8>), Error> {
    let mut built = Built::default();
    // The new place of each text.
    let mut places: Vec<Vec<Option<u64>>> = Vec::new();
    for segment in segments {
        let mut here = Vec::new();
        for (version, length) in interrupt.during(Texts::new(segment.texts)?.all()) {
            let is_deleted = deletions.take(version);
            here.push((!is_deleted).then_some(built.count() as u64));
            if !is_deleted {
                built.push_text(version, length);
            }
        }
        places.push(here);
    }
    let mut words: BTreeMap<&[u8], Writer> = BTreeMap::new();
    for (segment, places) in segments.iter().zip(&places) {
        for block in &segment.blocks {
            interrupt.check();
            for word in self::words(block) {
                let (word, postings) = word?;
                for posting in postings {
                    let (place, count) = posting?;
                    if let Some(place) = *places.get(place as usize).ok_or(Damaged)? {
                        words.entry(word).or_default().push(place, count)?;
                    }
                }
            }
        }
    }
    for (word, writer) in words {
        built.push_word(word, &writer.bytes);
    }
    Ok((built, deletions.rest()))
}
