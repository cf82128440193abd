//! Embeddings and the index of their codes, as searches read them.

use crate::postgres::INTERRUPT;
use crate::postgres::error::error;
use crate::postgres::rows::{Bytes, Form, Id, Key, Kind, ReadAhead, Scan, Table, is_of_pgvector};
use matrice_core::codes::{Bound, Candidate, Candidates, Encoder, ListQuery, Mean, Page, Query, Ranked};
use pgrx::datum::AnyElement;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{FromDatum, pg_sys};
use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap, HashSet};
use std::ffi::CStr;

const SCHEMA: &CStr = c"matrice";
const PRIVATE: &CStr = c"matrice_private";

pub(super) const EMBEDDING_OF_CHUNK: Form = Form {
    schema: SCHEMA,
    table: c"chunk_embeddings",
    index: c"chunk_embeddings_chunk_id_model_key",
    keys: &[("chunk_id", Kind::Uuid), ("model", Kind::Text)],
    columns: &EMBEDDING,
};
const EMBEDDINGS_OF_PROJECT: Form = Form {
    schema: SCHEMA,
    table: c"chunk_embeddings",
    index: c"idx_embeddings_vector",
    keys: &[("project_id", Kind::Uuid), ("model", Kind::Text)],
    columns: &EMBEDDING,
};
const EMBEDDING: [(&str, Kind); 3] = [
    ("project_id", Kind::Uuid),
    ("chunk_id", Kind::Uuid),
    ("embedding", Kind::Vector),
];
pub(super) const PROJECT_ID: usize = 0;
const CHUNK_ID: usize = 1;
pub(super) const VECTOR: usize = 2;

pub(super) const LISTS: Form = Form {
    schema: PRIVATE,
    table: c"code_lists",
    index: c"code_lists_pkey",
    keys: &[("project_id", Kind::Uuid), ("model", Kind::Text)],
    columns: &[
        ("id", Kind::Uuid),
        ("code_count", Kind::Integer),
        ("centroid", Kind::Bytes),
    ],
};
pub(super) const LIST_ID: usize = 0;
const CODE_COUNT: usize = 1;
pub(super) const CENTROID: usize = 2;

/// The cells of large projects. Their first columns are those of [`LISTS`].
pub(super) const CELLS: Form = Form {
    schema: PRIVATE,
    table: c"code_cells",
    index: c"code_cells_pkey",
    keys: &[("project_id", Kind::Uuid), ("model", Kind::Text)],
    columns: &[
        ("id", Kind::Uuid),
        ("code_count", Kind::Integer),
        ("centroid", Kind::Bytes),
        ("bound", Kind::Bytes),
    ],
};
const BOUND: usize = 3;
const CELL: Form = Form {
    keys: &[
        ("project_id", Kind::Uuid),
        ("model", Kind::Text),
        ("id", Kind::Uuid),
    ],
    ..CELLS
};

pub(super) const PAGES: Form = Form {
    schema: PRIVATE,
    table: c"code_pages",
    index: c"code_pages_pkey",
    keys: &[
        ("project_id", Kind::Uuid),
        ("model", Kind::Text),
        ("list", Kind::Uuid),
    ],
    columns: &[("codes", Kind::Bytes)],
};
pub(super) const CODES: usize = 0;

/// Up to so many vectors are all compared. This takes no longer than to read codes first.
const FEW: usize = 300;

/// So many vectors are asked for at once. Memory and disks answer several requests in little more time than one.
const AT_ONCE: usize = 8;

/// To look up a vector takes as long as to compare some sixty codes. So if a filter leaves fewer of the chunks than one in so many,
/// their vectors are compared without looking at codes.
const FILTERED: usize = 60;
/// The same of a project with cells, whose searches leave out most of the codes.
const FILTERED_OF_CELLS: usize = 300;

/// How many rows are read per check for cancellation.
const INTERRUPT_EVERY: usize = 256;

/// A vector of pgvector.
pub(crate) struct Vector<'a>(Bytes<'a>);

impl<'a> Vector<'a> {
    pub(super) fn new(bytes: Bytes<'a>) -> Self {
        Vector(bytes)
    }

    /// Its numbers, unless the value is not a vector.
    ///
    /// pgvector stores the number of dimensions in two bytes, two unused bytes, and the numbers.
    pub(crate) fn numbers(&self) -> Option<Vec<f32>> {
        let (header, numbers) = self.0.split_first_chunk::<4>()?;
        let dimensions = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let (numbers, rest) = numbers.as_chunks::<4>();
        (numbers.len() == dimensions && rest.is_empty())
            .then(|| numbers.iter().map(|number| f32::from_ne_bytes(*number)).collect())
    }

    fn dimensions(&self) -> Option<u16> {
        let (dimensions, _) = self.0.split_first_chunk::<2>()?;
        Some(u16::from_ne_bytes(*dimensions))
    }
}

/// The Euclidean norm of a vector of so many dimensions. `None` if the value is another one, or no vector.
pub(crate) fn norm(value: AnyElement, dimensions: usize) -> Option<f64> {
    if !is_of_pgvector(pg_sys::TypeRelationId, value.oid()) {
        return None;
    }
    // SAFETY: the value is of pgvector's type.
    let numbers = Vector(unsafe { Bytes::of(value.datum()) }).numbers()?;
    (numbers.len() == dimensions).then(|| matrice_core::codes::norm(&numbers))
}

/// A query, and pgvector's function that compares vectors with it.
struct Compared<'a> {
    query: Query,
    /// Whole: pgvector would fetch a vector of a table again for each comparison.
    vector: Vector<'a>,
    dimensions: u16,
    function: pg_sys::FmgrInfo,
}

impl Compared<'_> {
    /// # Errors
    /// `22023` unless the query is a vector of finite numbers that are not all 0.
    /// `55000` if pgvector's function is not there.
    fn new(query: AnyElement) -> Result<Self, ErrorReport> {
        if !is_of_pgvector(pg_sys::TypeRelationId, query.oid()) {
            return Err(not_comparable());
        }
        // SAFETY: the value is a vector.
        let vector = Vector(unsafe { Bytes::of(query.datum()) });
        let numbers = vector.numbers().ok_or_else(not_comparable)?;
        Ok(Compared {
            query: Query::new(&numbers).ok_or_else(not_comparable)?,
            dimensions: vector.dimensions().ok_or_else(not_comparable)?,
            vector,
            function: cosine_distance(query.oid())?,
        })
    }

    /// The cosine similarity, as SQL computes it.
    ///
    /// # Errors
    /// `22023` if the vectors have different dimensions.
    fn similarity(&mut self, vector: &Vector) -> Result<f64, ErrorReport> {
        if vector.dimensions() != Some(self.dimensions) {
            return Err(not_comparable());
        }
        // SAFETY: the function takes two vectors, and both are.
        let distance = unsafe {
            pg_sys::FunctionCall2Coll(
                &mut self.function,
                pg_sys::InvalidOid,
                vector.0.datum(),
                self.vector.0.datum(),
            )
        };
        // SAFETY: the function returns a double, which is never null.
        let distance = unsafe { f64::from_datum(distance, false) }.unwrap_or(f64::NAN);
        Ok(1.0 - distance)
    }
}

/// Looks up pgvector's function for vectors of its type `vector`.
fn cosine_distance(vector: pg_sys::Oid) -> Result<pg_sys::FmgrInfo, ErrorReport> {
    let mut function = pg_sys::FmgrInfo::default();
    // SAFETY: these look up catalogs. The function is one of pgvector's, that takes two vectors.
    unsafe {
        let schema = pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::TYPEOID as i32,
            pg_sys::Anum_pg_type_typnamespace as pg_sys::AttrNumber,
            vector.into(),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
        );
        let arguments = pg_sys::buildoidvector([vector, vector].as_ptr(), 2);
        let oid = pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::PROCNAMEARGSNSP as i32,
            pg_sys::Anum_pg_proc_oid as pg_sys::AttrNumber,
            c"cosine_distance".as_ptr().into(),
            arguments.into(),
            schema.into(),
            pg_sys::Datum::null(),
        );
        if oid == pg_sys::InvalidOid
            || !is_of_pgvector(pg_sys::ProcedureRelationId, oid)
            || pg_sys::get_func_rettype(oid) != pg_sys::FLOAT8OID
        {
            return Err(error(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "pgvector has no function cosine_distance",
                None,
                Some("Install pgvector 0.8 or newer.".into()),
            ));
        }
        pg_sys::fmgr_info(oid, &mut function);
    }
    Ok(function)
}

fn not_comparable() -> ErrorReport {
    error(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        "the query cannot be compared with the embeddings",
        None,
        Some("Pass a vector with the dimensions of its model, whose numbers are not all 0.".into()),
    )
}

/// A chunk and the cosine similarity of its embedding.
#[derive(PartialEq)]
pub(crate) struct Near {
    pub(crate) chunk_id: Id,
    pub(crate) similarity: f64,
}

impl Eq for Near {}

impl Ord for Near {
    /// The nearest first, ties by id.
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .similarity
            .total_cmp(&self.similarity)
            .then_with(|| self.chunk_id.cmp(&other.chunk_id))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The nearest chunks so far.
struct Nearest {
    count: usize,
    /// The farthest first.
    kept: BinaryHeap<Near>,
}

impl Nearest {
    fn offer(&mut self, near: Near) {
        if self.kept.len() < self.count {
            self.kept.push(near);
        } else if let Some(mut farthest) = self.kept.peek_mut()
            && near < *farthest
        {
            *farthest = near;
        }
    }

    /// Whether a chunk with this similarity comes after all that are kept.
    fn excludes(&self, similarity: f32) -> bool {
        self.count == 0
            || self.kept.len() == self.count
                && self
                    .kept
                    .peek()
                    .is_some_and(|farthest| farthest.similarity > f64::from(similarity))
    }
}

/// The tables that a search reads.
struct Tables {
    embedding_of_chunk: Table,
    embeddings_of_project: Table,
    lists: Table,
    cells: Table,
    cell: Table,
    pages: Table,
}

/// A search for the nearest chunks.
struct Search<'a> {
    tables: &'a Tables,
    model: &'a str,
    among: Option<&'a HashSet<Id>>,
    compared: Compared<'a>,
    nearest: Nearest,
    /// Several, each on the way to the embedding of another chunk.
    embedding_of_chunk: Vec<Scan<'a>>,
    embeddings_of_project: Scan<'a>,
    lists: Scan<'a>,
    cells: Scan<'a>,
    cell: Scan<'a>,
    pages: Scan<'a>,
}

/// A list, or a cell of a large project.
struct Place {
    id: Id,
    code_count: usize,
    /// The highest similarity that its vectors hardly exceed.
    reach: f32,
    /// `None` for a cell: most are not read.
    query: Option<ListQuery>,
}

/// Returns the nearest chunks of a model in some projects, nearest first, ties by id.
///
/// # Errors
/// `42501` unless the user may read the tables, without their policies.
/// `55000` if the tables are not those of the schema.
/// `22023` if the query cannot be compared with an embedding of the model.
pub(crate) fn nearest(
    project_ids: &BTreeSet<Id>,
    model: &str,
    query: AnyElement,
    count: usize,
    among: Option<&HashSet<Id>>,
) -> Result<Vec<Near>, ErrorReport> {
    let tables = Tables {
        embedding_of_chunk: Table::open(&EMBEDDING_OF_CHUNK)?,
        embeddings_of_project: Table::open(&EMBEDDINGS_OF_PROJECT)?,
        lists: Table::open(&LISTS)?,
        cells: Table::open(&CELLS)?,
        cell: Table::open(&CELL)?,
        pages: Table::open(&PAGES)?,
    };
    if tables.embedding_of_chunk.type_of(VECTOR) != query.oid() {
        return Err(not_comparable());
    }
    let mut search = Search {
        tables: &tables,
        model,
        among,
        compared: Compared::new(query)?,
        nearest: Nearest {
            count,
            kept: BinaryHeap::new(),
        },
        embedding_of_chunk: Vec::new(),
        embeddings_of_project: Scan::begin(&tables.embeddings_of_project)?,
        lists: Scan::begin(&tables.lists)?,
        cells: Scan::begin(&tables.cells)?,
        cell: Scan::begin(&tables.cell)?,
        pages: Scan::begin(&tables.pages)?,
    };
    for project_id in project_ids {
        INTERRUPT.check();
        search.offer_project(*project_id)?;
    }
    Ok(search.nearest.kept.into_sorted_vec())
}

impl Search<'_> {
    fn offer_project(&mut self, project_id: Id) -> Result<(), ErrorReport> {
        let Some(cells) = self.cells_of(project_id) else {
            return self.offer_all(project_id);
        };
        let in_cells: usize = cells.iter().map(|cell| cell.code_count).sum();
        let total = self.code_count(project_id).saturating_add(in_cells);
        // Without codes, they have not been restored, or there are no embeddings.
        if total <= FEW {
            return self.offer_all(project_id);
        }
        let filtered = if cells.is_empty() {
            FILTERED
        } else {
            FILTERED_OF_CELLS
        };
        if let Some(among) = self.among
            && among.len() <= FEW.max(total / filtered)
        {
            let mut among: Vec<Id> = among.iter().copied().collect();
            // In the order of the index.
            among.sort_unstable();
            return self.offer_chunks(project_id, &among);
        }
        let Some(mut places) = self.lists_of(project_id) else {
            return self.offer_all(project_id);
        };
        places.extend(cells);
        let mut depth = self.nearest.count;
        let mut seen = HashSet::new();
        loop {
            let Some(found) = self.candidates(project_id, &places, depth) else {
                return self.offer_all(project_id);
            };
            let is_done = self.offer_candidates(project_id, &found.candidates, &mut seen)?;
            if is_done || found.floor == f32::NEG_INFINITY || self.nearest.excludes(found.floor) {
                return Ok(());
            }
            // To look up a fifth of the vectors takes as long as to read all of them.
            depth = depth.saturating_mul(4);
            if depth > total / 5 {
                return self.offer_all(project_id);
            }
        }
    }

    /// How many codes the lists of a project have, with those of embeddings that were deleted or changed.
    fn code_count(&mut self, project_id: Id) -> usize {
        let mut total = 0usize;
        self.lists.find(&[Key::Uuid(project_id), Key::Text(self.model)]);
        while self.lists.advance() {
            total = total.saturating_add(count_in(&self.lists));
        }
        total
    }

    /// The lists of a project. `None` if one is not readable.
    fn lists_of(&mut self, project_id: Id) -> Option<Vec<Place>> {
        let mut places = Vec::new();
        self.lists.find(&[Key::Uuid(project_id), Key::Text(self.model)]);
        while self.lists.advance() {
            let query = self.compared.query.against(&self.lists.bytes(CENTROID)?)?;
            places.push(Place {
                id: self.lists.uuid(LIST_ID)?,
                code_count: count_in(&self.lists),
                reach: f32::INFINITY,
                query: Some(query),
            });
        }
        Some(places)
    }

    /// The cells of a project, in the order in which they are read. `None` if one is not readable.
    fn cells_of(&mut self, project_id: Id) -> Option<Vec<Place>> {
        let mut places = Vec::new();
        let mut nearest = f32::NEG_INFINITY;
        let mut bound = None;
        self.cells.find(&[Key::Uuid(project_id), Key::Text(self.model)]);
        while self.cells.advance() {
            let mean = self.compared.query.mean(&self.cells.bytes(CENTROID)?)?;
            let reach = match self.cells.bytes(BOUND) {
                Some(bytes) => {
                    nearest = nearest.max(mean);
                    bound.insert(Bound::parse(&bytes)?).reach(mean)
                }
                None => f32::INFINITY,
            };
            places.push(Place {
                id: self.cells.uuid(LIST_ID)?,
                code_count: count_in(&self.cells),
                reach,
                query: None,
            });
        }
        if bound.is_some_and(|bound| !bound.covers(nearest)) {
            places.iter_mut().for_each(|place| place.reach = f32::INFINITY);
        }
        places.sort_unstable_by(|left, right| right.reach.total_cmp(&left.reach));
        Some(places)
    }

    /// Compares the codes of a project. `None` if a page is not readable.
    fn candidates(&mut self, project_id: Id, places: &[Place], depth: usize) -> Option<Ranked> {
        let mut candidates = Candidates::new(depth);
        for place in places {
            if !candidates.is_near(place.reach) {
                break;
            }
            match &place.query {
                Some(query) => self.scan_place(project_id, place, query, &mut candidates)?,
                None => {
                    self.cell
                        .find(&[Key::Uuid(project_id), Key::Text(self.model), Key::Uuid(place.id)]);
                    if !self.cell.advance() {
                        return None;
                    }
                    let query = self.compared.query.against(&self.cell.bytes(CENTROID)?)?;
                    self.scan_place(project_id, place, &query, &mut candidates)?;
                }
            }
        }
        Some(candidates.finish())
    }

    /// Compares the codes of a list or cell. `None` if a page is not readable, or if there is none though there are codes.
    fn scan_place(
        &mut self,
        project_id: Id,
        place: &Place,
        query: &ListQuery,
        candidates: &mut Candidates,
    ) -> Option<()> {
        let mut is_there = place.code_count == 0;
        let mut ahead = ReadAhead::default();
        self.pages
            .find(&[Key::Uuid(project_id), Key::Text(self.model), Key::Uuid(place.id)]);
        while self.pages.advance() {
            INTERRUPT.check();
            is_there = true;
            let bytes = self.pages.bytes(CODES)?;
            ahead.at(&bytes);
            let page = Page::parse(&bytes)?;
            let is_read = match self.among {
                Some(among) => query.scan(&page, candidates, |id| among.contains(id)),
                None => query.scan(&page, candidates, |_| true),
            };
            if !is_read {
                return None;
            }
        }
        is_there.then_some(())
    }

    /// Compares the vectors of candidates, until no further one can be among the nearest. Returns whether that is so.
    fn offer_candidates(
        &mut self,
        project_id: Id,
        candidates: &[Candidate],
        seen: &mut HashSet<Id>,
    ) -> Result<bool, ErrorReport> {
        for some in candidates.chunks(AT_ONCE) {
            if self.nearest.excludes(some[0].upper) {
                return Ok(true);
            }
            // A chunk whose vector has changed may have two codes.
            let new = some.iter().filter(|candidate| seen.insert(candidate.id));
            let new: Vec<Id> = new.map(|candidate| candidate.id).collect();
            self.offer_chunks(project_id, &new)?;
        }
        Ok(false)
    }

    /// Compares the vectors of those of the chunks that are in the project.
    fn offer_chunks(&mut self, project_id: Id, chunk_ids: &[Id]) -> Result<(), ErrorReport> {
        while self.embedding_of_chunk.len() < AT_ONCE.min(chunk_ids.len()) {
            self.embedding_of_chunk
                .push(Scan::begin(&self.tables.embedding_of_chunk)?);
        }
        for some in chunk_ids.chunks(AT_ONCE) {
            INTERRUPT.check();
            for (scan, chunk_id) in self.embedding_of_chunk.iter_mut().zip(some) {
                scan.set_out(&[Key::Uuid(*chunk_id), Key::Text(self.model)]);
            }
            for (scan, &chunk_id) in self.embedding_of_chunk.iter_mut().zip(some) {
                if scan.arrive()
                    && scan.uuid(PROJECT_ID) == Some(project_id)
                    && let Some(bytes) = scan.bytes(VECTOR)
                {
                    let similarity = self.compared.similarity(&Vector(bytes))?;
                    self.nearest.offer(Near { chunk_id, similarity });
                }
            }
        }
        Ok(())
    }

    /// Compares all vectors of a project. What has been offered before is not kept twice.
    fn offer_all(&mut self, project_id: Id) -> Result<(), ErrorReport> {
        let known: HashSet<Id> = self.nearest.kept.iter().map(|near| near.chunk_id).collect();
        let mut number = 0;
        let mut ahead = ReadAhead::default();
        self.embeddings_of_project
            .find(&[Key::Uuid(project_id), Key::Text(self.model)]);
        while self.embeddings_of_project.advance() {
            check_interrupts(number);
            number += 1;
            let Some(chunk_id) = self.embeddings_of_project.uuid(CHUNK_ID) else {
                continue;
            };
            if known.contains(&chunk_id) || self.among.is_some_and(|among| !among.contains(&chunk_id)) {
                continue;
            }
            if let Some(bytes) = self.embeddings_of_project.bytes(VECTOR) {
                ahead.at(&bytes);
                let similarity = self.compared.similarity(&Vector(bytes))?;
                self.nearest.offer(Near { chunk_id, similarity });
            }
        }
        Ok(())
    }
}

/// How many codes the list or cell has, at which a scan is.
fn count_in(scan: &Scan) -> usize {
    let count = scan.integer(CODE_COUNT);
    count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}

pub(super) fn check_interrupts(number: usize) {
    if number.is_multiple_of(INTERRUPT_EVERY) {
        INTERRUPT.check();
    }
}

/// A list of codes, as it is stored.
pub(crate) struct List {
    pub(crate) code_count: usize,
    pub(crate) centroid: Vec<u8>,
    pub(crate) pages: Vec<Vec<u8>>,
}

/// Builds a list of the codes of those of the chunks that have an embedding in the project. `None` if none has.
///
/// # Errors
/// As [`nearest`].
pub(crate) fn build_list(
    project_id: Id,
    model: &str,
    chunk_ids: &BTreeSet<Id>,
) -> Result<Option<List>, ErrorReport> {
    let table = Table::open(&EMBEDDING_OF_CHUNK)?;
    let mut scan = Scan::begin(&table)?;
    let mut each = |work: &mut dyn FnMut(Id, &[f32])| {
        for (number, chunk_id) in chunk_ids.iter().enumerate() {
            check_interrupts(number);
            scan.find(&[Key::Uuid(*chunk_id), Key::Text(model)]);
            if scan.advance()
                && scan.uuid(PROJECT_ID) == Some(project_id)
                && let Some(numbers) = scan.bytes(VECTOR).and_then(|bytes| Vector(bytes).numbers())
            {
                work(*chunk_id, &numbers);
            }
        }
    };
    let mut mean: Option<Mean> = None;
    each(&mut |_, numbers| {
        if mean.is_none() {
            mean = Mean::new(numbers.len());
        }
        if let Some(mean) = &mut mean {
            mean.add(numbers);
        }
    });
    let Some(centroid) = mean.map(|mean| mean.centroid(chunk_ids.len())) else {
        return Ok(None);
    };
    let mut code_count = 0;
    let mut encoder = Encoder::new(&centroid);
    // A vector of other dimensions has no code. No client can store one.
    each(&mut |chunk_id, numbers| code_count += usize::from(encoder.push(chunk_id, numbers)));
    let list = List {
        code_count,
        centroid: centroid.to_bytes(),
        pages: encoder.finish(),
    };
    Ok((list.code_count > 0).then_some(list))
}
