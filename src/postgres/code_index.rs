//! Reads the bit codes of embeddings from their index. This is the first step of a search.
//!
//! An index-only scan of Postgres takes twice as long. It makes a row from each entry, checks whether the row is visible, and
//! calls functions on it. This scan compares an entry in place, and checks visibility only for entries that are near.

use crate::postgres::error::error;
use matrice_core::Interrupt;
use matrice_core::nearest::{Id, Nearest, Query};
use pgrx::datum::Uuid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{PgRelation, itemptr, name_data_to_str, pg_sys, varlena};
use std::cell::Cell;
use std::collections::{BTreeSet, HashSet};
use std::ffi::{CStr, c_char};
use std::slice;

const SCHEMA: &CStr = c"matrice";
const TABLE: &CStr = c"chunk_embeddings";
const INDEX: &CStr = c"idx_embeddings_codes";

/// The columns of the index: `(project_id, model) include (code, chunk_id)`.
const COLUMNS: [(&str, pg_sys::Oid); 4] = [
    ("project_id", pg_sys::UUIDOID),
    ("model", pg_sys::TEXTOID),
    ("code", pg_sys::VARBITOID),
    ("chunk_id", pg_sys::UUIDOID),
];
const KEYS: usize = 2;
const CODE: i32 = 3;
const CHUNK_ID: i32 = 4;

/// The operator families and collations that order the keys: uuid_ops and text_ops.
const ORDERS: [(u32, pg_sys::Oid); KEYS] =
    [(2968, pg_sys::InvalidOid), (1994, pg_sys::DEFAULT_COLLATION_OID)];

/// The bits of the uncompressed length in the four bytes that describe a compressed value.
const EXTENT: u32 = (1 << 30) - 1;

/// How many entries are read per check for cancellation.
const INTERRUPT_EVERY: i64 = 1024;

/// A code that is near, and its place among the codes of its project, counted from 1.
pub(crate) struct Near {
    pub(crate) project_id: Uuid,
    pub(crate) chunk_id: Uuid,
    pub(crate) place: i32,
    /// The approximate number of codes in the project: codes of old versions of rows count too.
    pub(crate) of: i64,
}

/// The index of codes and its table, open. The current user may read both.
pub(crate) struct CodeIndex {
    table: PgRelation,
    index: PgRelation,
}

impl CodeIndex {
    /// Opens the index.
    ///
    /// # Errors
    /// `42501` unless the user may read every row of the table, because a scan does not apply its policies.
    /// `55000` if the index does not exist, is not built, or is another index with that name.
    pub(crate) fn open() -> Result<Self, ErrorReport> {
        // SAFETY: both look up a name, and return no OID if there is none.
        let (table, index) = unsafe {
            let schema = pg_sys::get_namespace_oid(SCHEMA.as_ptr(), true);
            (
                pg_sys::get_relname_relid(TABLE.as_ptr(), schema),
                pg_sys::get_relname_relid(INDEX.as_ptr(), schema),
            )
        };
        if table == pg_sys::InvalidOid || index == pg_sys::InvalidOid {
            return Err(not_of_codes());
        }
        require_readable(table)?;
        let opened = CodeIndex {
            table: open(table).ok_or_else(not_of_codes)?,
            index: open(index).ok_or_else(not_of_codes)?,
        };
        if opened.is_of_codes() {
            Ok(opened)
        } else {
            Err(not_of_codes())
        }
    }

    /// Whether table and index have the form that [`Scan`] reads. The owner of the tables can create others with these names and
    /// any columns.
    fn is_of_codes(&self) -> bool {
        // SAFETY: every open relation has these.
        let (table, index) = unsafe { (&*self.table.rd_rel, &*self.index.rd_rel) };
        let is_table = table.relkind == pg_sys::RELKIND_RELATION as c_char
            && table.relpersistence == pg_sys::RELPERSISTENCE_PERMANENT as c_char
            && table.relam == pg_sys::HEAP_TABLE_AM_OID;
        let is_btree =
            index.relkind == pg_sys::RELKIND_INDEX as c_char && index.relam == pg_sys::BTREE_AM_OID;
        is_table && is_btree && self.is_whole() && self.has_columns() && self.has_orders()
    }

    /// Whether the index is of the table and holds all of its rows. Call it only for an index.
    fn is_whole(&self) -> bool {
        // SAFETY: every open index has this.
        let index = unsafe { &*self.index.rd_index };
        // SAFETY: the relation is an open index.
        let is_plain = unsafe {
            pg_sys::RelationGetIndexPredicate(self.index.as_ptr()).is_null()
                && pg_sys::RelationGetIndexExpressions(self.index.as_ptr()).is_null()
        };
        let is_built = index.indisvalid && index.indisready && index.indislive;
        index.indrelid == self.table.oid() && is_built && is_plain
    }

    /// Whether table and index have the columns of [`COLUMNS`]. Call it only for an index.
    fn has_columns(&self) -> bool {
        // SAFETY: every open index has this.
        let index = unsafe { &*self.index.rd_index };
        if usize::from(index.indnatts.unsigned_abs()) != COLUMNS.len()
            || usize::from(index.indnkeyatts.unsigned_abs()) != KEYS
        {
            return false;
        }
        // SAFETY: there is one number per column of the index.
        let numbers = unsafe { index.indkey.values.as_slice(COLUMNS.len()) };
        let (of_table, of_index) = (self.table.tuple_desc(), self.index.tuple_desc());
        let column_of_table = |number: i16| of_table.get(usize::try_from(number).ok()?.checked_sub(1)?);
        of_index.len() == COLUMNS.len()
            && numbers
                .iter()
                .zip(of_index.iter())
                .zip(COLUMNS)
                .all(|((&number, held), (name, kind))| {
                    held.atttypid == kind
                        && column_of_table(number).is_some_and(|column| {
                            !column.attisdropped
                                && column.atttypid == kind
                                && name_data_to_str(&column.attname) == name
                        })
                })
    }

    /// Whether the index orders its keys as [`Scan::restart`] compares them. Call it only for an index with these columns.
    fn has_orders(&self) -> bool {
        // SAFETY: every open index has these for each of its keys.
        unsafe {
            ORDERS.iter().enumerate().all(|(key, (family, collation))| {
                (*self.index.rd_opfamily.add(key)).to_u32() == *family
                    && *self.index.rd_indcollation.add(key) == *collation
            })
        }
    }

    /// Returns the nearest codes of a model in each project, nearest first, ties by id. Only codes that the current snapshot sees
    /// count.
    ///
    /// # Errors
    /// `22023` if a row has no code, or a code whose dimensions differ from those of the query.
    pub(crate) fn nearest(
        &self,
        project_ids: BTreeSet<Id>,
        model: &str,
        query: &Query,
        count: usize,
        among: Option<&HashSet<Id>>,
        interrupt: Interrupt,
    ) -> Result<Vec<Near>, ErrorReport> {
        let mut found = Vec::new();
        let mut scan = Scan::begin(self)?;
        for project_id in project_ids {
            let mut nearest = Nearest::new(query, count, among);
            scan.restart(project_id, model);
            let of = scan.offer(query.dimensions(), &mut nearest, interrupt)?;
            found.extend(nearest.into_ids().zip(1..).map(|(chunk_id, place)| Near {
                project_id: Uuid::from_bytes(project_id),
                chunk_id: Uuid::from_bytes(chunk_id),
                place,
                of,
            }));
        }
        Ok(found)
    }
}

/// Locks and opens a relation, if it is still there.
fn open(relation: pg_sys::Oid) -> Option<PgRelation> {
    // SAFETY: the relation is null or open. It is counted once, and closed once. The lock is held until the end of the
    // transaction, like the lock of a query.
    unsafe {
        let relation = pg_sys::try_relation_open(relation, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        (!relation.is_null()).then(|| PgRelation::from_pg_owned(relation))
    }
}

fn require_readable(table: pg_sys::Oid) -> Result<(), ErrorReport> {
    // SAFETY: both look up a relation in the catalogs, and raise an error if it is gone.
    let readable = unsafe {
        pg_sys::pg_class_aclcheck(table, pg_sys::GetUserId(), pg_sys::ACL_SELECT as pg_sys::AclMode)
            == pg_sys::AclResult::ACLCHECK_OK
            && pg_sys::check_enable_rls(table, pg_sys::InvalidOid, false)
                != pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
    };
    if readable {
        return Ok(());
    }
    Err(error(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        "permission denied for codes of embeddings",
        None,
        Some("Search with match_chunks.".into()),
    ))
}

fn not_of_codes() -> ErrorReport {
    let hint = "Drop it, and create index idx_embeddings_codes on matrice.chunk_embeddings (project_id, model) include (code, chunk_id), \
                whose columns are uuid, text, bit varying and uuid.";
    error(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        "matrice.idx_embeddings_codes is not there, not built, or not the index that searches read",
        None,
        Some(hint.into()),
    )
}

fn not_comparable(dimensions: usize) -> ErrorReport {
    let hint = "Query and embeddings have the dimensions of their model, and chunk_embeddings.code is binary_quantize(embedding).";
    error(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("an embedding's code cannot be compared with {dimensions} numbers"),
        None,
        Some(hint.into()),
    )
}

/// A scan of a [`CodeIndex`].
struct Scan<'a> {
    of: &'a CodeIndex,
    scan: pg_sys::IndexScanDesc,
    /// Holds a row that had to be looked up.
    slot: *mut pg_sys::TupleTableSlot,
    /// The page of the visibility map that was read last.
    map_page: Cell<pg_sys::Buffer>,
    /// The decompressed code of the entry, if the index holds it compressed.
    unpacked: Cell<*mut pg_sys::varlena>,
}

impl<'a> Scan<'a> {
    fn begin(of: &'a CodeIndex) -> Result<Self, ErrorReport> {
        // SAFETY: reads a flag.
        if !unsafe { pg_sys::ActiveSnapshotSet() } {
            let code = PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
            return Err(error(code, "codes are read by queries only", None, None));
        }
        // SAFETY: the relations are open and locked, and there is an active snapshot.
        unsafe {
            let (table, index) = (of.table.as_ptr(), of.index.as_ptr());
            let snapshot = pg_sys::GetActiveSnapshot();
            #[cfg(not(feature = "pg18"))]
            let scan = pg_sys::index_beginscan(table, index, snapshot, KEYS as i32, 0);
            #[cfg(feature = "pg18")]
            let scan = pg_sys::index_beginscan(table, index, snapshot, std::ptr::null_mut(), KEYS as i32, 0);
            (*scan).xs_want_itup = true;
            Ok(Scan {
                of,
                scan,
                slot: pg_sys::table_slot_create(table, std::ptr::null_mut()),
                map_page: Cell::new(pg_sys::InvalidBuffer as pg_sys::Buffer),
                unpacked: Cell::new(std::ptr::null_mut()),
            })
        }
    }

    /// Moves to the codes of a project and model.
    fn restart(&mut self, project_id: Id, model: &str) {
        let mut keys = [pg_sys::ScanKeyData::default(); KEYS];
        let values = [
            (pg_sys::F_UUID_EQ, Uuid::from_bytes(project_id).into_datum()),
            (pg_sys::F_TEXTEQ, model.into_datum()),
        ];
        // SAFETY: there are `KEYS` keys, of the types of the columns that they are compared with. The scan copies them, and
        // what they point to lives as long as the query.
        unsafe {
            let collations = (*self.of.index.as_ptr()).rd_indcollation;
            for (column, (key, (function, value))) in keys.iter_mut().zip(values).enumerate() {
                pg_sys::ScanKeyEntryInitialize(
                    key,
                    0,
                    column as pg_sys::AttrNumber + 1,
                    pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
                    pg_sys::InvalidOid,
                    *collations.add(column),
                    function.into(),
                    value.unwrap_or(pg_sys::Datum::null()),
                );
            }
            pg_sys::index_rescan(self.scan, keys.as_mut_ptr(), KEYS as i32, std::ptr::null_mut(), 0);
        }
    }

    /// Offers all entries from here on to `nearest`, and returns their number.
    fn offer(
        &mut self,
        dimensions: usize,
        nearest: &mut Nearest,
        interrupt: Interrupt,
    ) -> Result<i64, ErrorReport> {
        let mut number = 0;
        while self.advance() {
            if number % INTERRUPT_EVERY == 0 {
                interrupt.check();
            }
            number += 1;
            match self.code(dimensions) {
                Some(code) => nearest.offer(code, || self.chunk_id(), || self.is_visible()),
                None if self.is_visible() => return Err(not_comparable(dimensions)),
                None => {}
            }
        }
        Ok(number)
    }

    /// Moves to the next entry, and returns whether there is one.
    #[inline]
    fn advance(&mut self) -> bool {
        // SAFETY: the scan has been restarted.
        unsafe {
            !pg_sys::index_getnext_tid(self.scan, pg_sys::ScanDirection::ForwardScanDirection).is_null()
                && !(*self.scan).xs_itup.is_null()
        }
    }

    /// Returns the entry's code, if no value of the entry is null and the code has `dimensions` bits.
    #[inline]
    fn code(&self, dimensions: usize) -> Option<&[u8]> {
        // SAFETY: the scan is at an entry.
        if u32::from(unsafe { (*(*self.scan).xs_itup).t_info }) & pg_sys::INDEX_NULL_MASK != 0 {
            return None;
        }
        // A bit string is stored as its length in bits, followed by its bytes.
        let bytes = dimensions.div_ceil(8);
        // SAFETY: the value is a bit string, as `open` has checked. It is not null, and stays in place until the scan advances.
        let value = unsafe {
            let code = self.unpack(self.value(CODE).cast_mut_ptr(), size_of::<i32>() + bytes)?;
            slice::from_raw_parts(
                varlena::vardata_any(code).cast::<u8>(),
                varlena::varsize_any_exhdr(code),
            )
        };
        let (bits, code) = value.split_first_chunk()?;
        (usize::try_from(i32::from_ne_bytes(*bits)) == Ok(dimensions) && code.len() == bytes).then_some(code)
    }

    /// Returns the chunk of the entry. Call it only for an entry that has a code.
    fn chunk_id(&self) -> Id {
        // SAFETY: the value is a UUID, as `open` has checked. An entry that has a code has no null.
        unsafe { *self.value(CHUNK_ID).cast_mut_ptr::<Id>() }
    }

    /// Returns a value of the entry. Call it only for an entry without nulls.
    #[inline]
    fn value(&self, column: i32) -> pg_sys::Datum {
        // SAFETY: the scan is at an entry, which has the columns that `open` has checked.
        unsafe { pg_sys::nocache_index_getattr((*self.scan).xs_itup, column, (*self.scan).xs_itupdesc) }
    }

    /// Returns the value, decompressed. Returns `None` if it is stored outside the entry, or if it is compressed and its
    /// decompressed length is not `length`.
    ///
    /// # Safety
    /// `code` must be a value of the entry.
    #[inline]
    unsafe fn unpack(&self, code: *mut pg_sys::varlena, length: usize) -> Option<*mut pg_sys::varlena> {
        // SAFETY: the caller passes a value of the entry. The value that was unpacked before is not used any more. A compressed
        // value begins with its header, and four bytes that describe it.
        unsafe {
            if varlena::varatt_is_1b_e(code) {
                return None;
            }
            if !varlena::varatt_is_4b_c(code) {
                return Some(code);
            }
            let extent = code.cast::<u32>().add(1).read_unaligned() & EXTENT;
            if usize::try_from(extent) != Ok(length) {
                return None;
            }
            let before = self.unpacked.replace(pg_sys::pg_detoast_datum_packed(code));
            if !before.is_null() {
                pg_sys::pfree(before.cast());
            }
            Some(self.unpacked.get())
        }
    }

    /// Whether the snapshot sees the entry's row.
    fn is_visible(&self) -> bool {
        // SAFETY: the scan is at an entry.
        unsafe {
            let page = itemptr::item_pointer_get_block_number(&(*self.scan).xs_heaptid);
            let status =
                pg_sys::visibilitymap_get_status(self.of.table.as_ptr(), page, self.map_page.as_ptr());
            let all_visible = u32::from(status) & pg_sys::VISIBILITYMAP_ALL_VISIBLE != 0;
            // A serializable transaction must look up the row, so that Postgres records that it has read it.
            if all_visible && pg_sys::XactIsoLevel != pg_sys::XACT_SERIALIZABLE as i32 {
                return true;
            }
            pg_sys::index_fetch_heap(self.scan, self.slot)
        }
    }
}

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        // After an error, Postgres cleans up itself.
        if std::thread::panicking() {
            return;
        }
        // SAFETY: each is released once, and is not used any more.
        unsafe {
            if self.map_page.get() != pg_sys::InvalidBuffer as pg_sys::Buffer {
                pg_sys::ReleaseBuffer(self.map_page.get());
            }
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            pg_sys::index_endscan(self.scan);
        }
    }
}
