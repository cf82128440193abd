//! Cells of codes: how they are trained on embeddings, and filled with their codes.

use crate::postgres::INTERRUPT;
use crate::postgres::embeddings::{
    CELLS, CENTROID, CODES, EMBEDDING_OF_CHUNK, LIST_ID, LISTS, PAGES, PROJECT_ID, VECTOR, Vector,
    check_interrupts,
};
use crate::postgres::rows::{Form, Id, Key, Scan, Table};
use matrice_core::codes::{Candidates, CellWriter, Cells, Direction, ListQuery, Page, Query, Rotator};
use pgrx::pg_sys::panic::ErrorReport;
use std::collections::{BTreeSet, HashSet};

/// How many stored vectors are searched for, to learn which cells hold the nearest of a vector: at least, and at most.
const QUERIES: (usize, usize) = (8, 64);
/// How many comparisons that may take, unless the least number of queries takes more: a second.
const COMPARISONS: usize = 100_000_000;
/// Which of the nearest of each are looked at. A search may ask for one, or for hundreds, or for ten that are rare.
const RANKS: [usize; 16] = [1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 100, 160, 256, 400, 640, 1000];
/// More numbers of a sample would take too much memory: 256 MB.
const MOST_NUMBERS: usize = 1 << 26;

/// The embeddings of a project.
struct Embeddings<'a> {
    project_id: Id,
    model: &'a str,
    scan: Scan<'a>,
}

impl Embeddings<'_> {
    fn numbers(&mut self, chunk_id: Id) -> Option<Vec<f32>> {
        self.scan.find(&[Key::Uuid(chunk_id), Key::Text(self.model)]);
        if !self.scan.advance() || self.scan.uuid(PROJECT_ID) != Some(self.project_id) {
            return None;
        }
        Vector::new(self.scan.bytes(VECTOR)?).numbers()
    }
}

/// Finds cells for the embeddings of a project, from a sample. `None` if the sample has too few embeddings, or the index is not
/// readable.
///
/// # Errors
/// As [`nearest`](super::embeddings::nearest).
pub(crate) fn train_cells(
    project_id: Id,
    model: &str,
    sample: &[Id],
    cells: usize,
    total: usize,
) -> Result<Option<Cells>, ErrorReport> {
    let table = Table::open(&EMBEDDING_OF_CHUNK)?;
    let mut embeddings = Embeddings {
        project_id,
        model,
        scan: Scan::begin(&table)?,
    };
    let mut rotator: Option<Rotator> = None;
    let (mut directions, mut queries) = (Vec::new(), Vec::new());
    let asked = (COMPARISONS / total.max(1)).clamp(QUERIES.0, QUERIES.1);
    let every = (sample.len() / asked).max(1);
    for (number, chunk_id) in sample.iter().enumerate() {
        check_interrupts(number);
        let Some(numbers) = embeddings.numbers(*chunk_id) else {
            continue;
        };
        if rotator.is_none() {
            rotator = Rotator::new(numbers.len());
        }
        if let Some(direction) = rotator.as_ref().and_then(|rotator| rotator.direction(&numbers)) {
            if number.is_multiple_of(every) && queries.len() < asked {
                queries.extend(Query::new(&numbers).map(|query| (*chunk_id, query, direction.clone())));
            }
            directions.push(direction);
        }
        if directions.len() * numbers.len() >= MOST_NUMBERS {
            break;
        }
    }
    let trained = rotator.and_then(|rotator| {
        Some((
            Cells::train(&directions, &rotator, cells, total, INTERRUPT)?,
            rotator,
        ))
    });
    let Some((mut trained, rotator)) = trained else {
        return Ok(None);
    };
    drop(directions);
    let Some(near) = nearest_codes(project_id, model, &queries)? else {
        return Ok(None);
    };
    let pairs: Vec<_> = queries
        .iter()
        .zip(near)
        .flat_map(|((own, _, query), near)| {
            pairs_of(&trained, &rotator, &mut embeddings, (own, query), &near)
        })
        .collect();
    trained.measure(&pairs);
    Ok(Some(trained))
}

/// The chunks whose codes are nearest to each query, by the estimates, the nearest first. All codes are read. `None` if some are
/// not readable.
fn nearest_codes(
    project_id: Id,
    model: &str,
    queries: &[(Id, Query, Direction)],
) -> Result<Option<Vec<Vec<Id>>>, ErrorReport> {
    const MOST: usize = RANKS[RANKS.len() - 1] + 1;
    let mut nearest: Vec<_> = queries.iter().map(|_| Candidates::new(MOST)).collect();
    let pages = Table::open(&PAGES)?;
    let mut pages = Scan::begin(&pages)?;
    for form in [&LISTS, &CELLS] {
        if scan_codes((project_id, model), form, &mut pages, queries, &mut nearest)?.is_none() {
            return Ok(None);
        }
    }
    let by_estimate = |found: Candidates| {
        let mut found = found.finish().candidates;
        found.sort_unstable_by(|left, right| right.similarity.total_cmp(&left.similarity));
        let mut seen = HashSet::new();
        found
            .iter()
            .map(|candidate| candidate.id)
            .filter(|id| seen.insert(*id))
            .collect()
    };
    Ok(Some(nearest.into_iter().map(by_estimate).collect()))
}

/// Offers the codes of all lists of a table. `None` if some are not readable.
fn scan_codes(
    (project_id, model): (Id, &str),
    form: &'static Form,
    pages: &mut Scan,
    queries: &[(Id, Query, Direction)],
    nearest: &mut [Candidates],
) -> Result<Option<()>, ErrorReport> {
    let table = Table::open(form)?;
    let mut lists = Scan::begin(&table)?;
    lists.find(&[Key::Uuid(project_id), Key::Text(model)]);
    while lists.advance() {
        let (Some(id), Some(centroid)) = (lists.uuid(LIST_ID), lists.bytes(CENTROID)) else {
            return Ok(None);
        };
        let asked: Option<Vec<ListQuery>> = queries
            .iter()
            .map(|(_, query, _)| query.against(&centroid))
            .collect();
        let Some(asked) = asked else { return Ok(None) };
        pages.find(&[Key::Uuid(project_id), Key::Text(model), Key::Uuid(id)]);
        while pages.advance() {
            INTERRUPT.check();
            let Some(bytes) = pages.bytes(CODES) else {
                return Ok(None);
            };
            let Some(page) = Page::parse(&bytes) else {
                return Ok(None);
            };
            for (query, nearest) in asked.iter().zip(&mut *nearest) {
                if !query.scan(&page, nearest, |_| true) {
                    return Ok(None);
                }
            }
        }
    }
    Ok(Some(()))
}

/// What a query, its own chunk left out, and its nearest say of their cells.
fn pairs_of(
    cells: &Cells,
    rotator: &Rotator,
    embeddings: &mut Embeddings,
    (own, query): (&Id, &Direction),
    near: &[Id],
) -> Vec<(f64, f64)> {
    let others: Vec<Id> = near.iter().filter(|id| *id != own).copied().collect();
    let of_rank = |rank: usize| {
        INTERRUPT.check();
        let direction = rotator.direction(&embeddings.numbers(*others.get(rank - 1)?)?)?;
        cells.pair(query, &direction)
    };
    RANKS.into_iter().filter_map(of_rank).collect()
}

/// Encodes the embeddings of those of the chunks that have one in the project.
///
/// # Errors
/// As [`nearest`](super::embeddings::nearest).
pub(crate) fn fill_cells(
    project_id: Id,
    model: &str,
    chunk_ids: &BTreeSet<Id>,
    writer: &mut CellWriter,
) -> Result<(), ErrorReport> {
    let table = Table::open(&EMBEDDING_OF_CHUNK)?;
    let mut embeddings = Embeddings {
        project_id,
        model,
        scan: Scan::begin(&table)?,
    };
    for (number, chunk_id) in chunk_ids.iter().enumerate() {
        check_interrupts(number);
        if let Some(numbers) = embeddings.numbers(*chunk_id) {
            // A vector of other dimensions has no code. No client can store one.
            writer.push(*chunk_id, &numbers);
        }
    }
    Ok(())
}
