//! Reads the bit codes of embeddings from their index, which holds them side by side: the first half of a search.
//!
//! An index-only scan of Postgres does the same, and takes twice as long: it makes a row of each entry, looks up whether
//! that is visible, and calls functions for it. Here an entry is compared where it stands, and only one that is near is
//! asked whether it is visible.

use crate::core::Interrupt;
use crate::core::nearest::{Id, Nearest};
use pgrx::datum::Uuid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{PgRelation, itemptr, pg_sys, varlena};
use std::cell::Cell;
use std::slice;

/// What the index holds: `(project_id, model) include (code, chunk_id)`.
const COLUMNS: [pg_sys::Oid; 4] = [
    pg_sys::UUIDOID,
    pg_sys::TEXTOID,
    pg_sys::VARBITOID,
    pg_sys::UUIDOID,
];
const KEYS: usize = 2;
const CODE: i32 = 3;
const CHUNK_ID: i32 = 4;

/// How many entries are read between two questions whether to stop.
const INTERRUPT_EVERY: usize = 1024;

/// An index of codes that the current user may read.
pub(crate) struct CodeIndex {
    table: PgRelation,
    index: PgRelation,
}

impl CodeIndex {
    /// # Errors
    /// `42501` unless the user may read the table, all of it: rows are read without asking its policies.
    /// `42809` for anything but an index of codes, `55000` for one that is not built.
    pub(crate) fn open(index: pg_sys::Oid) -> Result<Self, ErrorReport> {
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        // SAFETY: gives no table for an OID that is not an index's.
        let table = unsafe { pg_sys::IndexGetRelation(index, true) };
        if table == pg_sys::InvalidOid {
            return Err(not_of_codes());
        }
        require_readable(table)?;
        // SAFETY: both exist, the table as long as it is locked and the index with it.
        let (table, index) = unsafe {
            (
                PgRelation::with_lock(table, lock),
                PgRelation::with_lock(index, lock),
            )
        };
        // SAFETY: the index is open, so these are there.
        let (kind, valid) = unsafe { ((*index.rd_rel).relam, (*index.rd_index).indisvalid) };
        let has_columns = index
            .tuple_desc()
            .iter()
            .map(|column| column.atttypid)
            .eq(COLUMNS);
        if kind != pg_sys::BTREE_AM_OID || !has_columns {
            return Err(not_of_codes());
        }
        if !valid {
            return Err(ErrorReport::new(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("the index \"{}\" is not valid", index.name()),
                "matrice",
            )
            .set_hint("Build it again: REINDEX INDEX CONCURRENTLY."));
        }
        Ok(CodeIndex { table, index })
    }

    /// Offers all codes of a model in some projects that the current snapshot sees.
    pub(crate) fn offer(
        &self,
        project_ids: impl Iterator<Item = Uuid>,
        model: &str,
        nearest: &mut Nearest,
        interrupt: Interrupt,
    ) {
        let mut scan = Scan::begin(self);
        for project_id in project_ids {
            scan.restart(project_id, model);
            let mut number = 0;
            while scan.advance() {
                if number % INTERRUPT_EVERY == 0 {
                    interrupt.check();
                }
                number += 1;
                nearest.offer(scan.code(), || scan.chunk_id(), || scan.is_visible());
            }
        }
    }
}

fn require_readable(table: pg_sys::Oid) -> Result<(), ErrorReport> {
    // SAFETY: both look up a relation in the catalogues, and raise where it is gone.
    let readable = unsafe {
        pg_sys::pg_class_aclcheck(table, pg_sys::GetUserId(), pg_sys::ACL_SELECT as pg_sys::AclMode)
            == pg_sys::AclResult::ACLCHECK_OK
            && pg_sys::check_enable_rls(table, pg_sys::InvalidOid, false)
                != pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
    };
    if readable {
        return Ok(());
    }
    Err(ErrorReport::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        "permission denied for codes of embeddings",
        "matrice",
    )
    .set_hint("Search with match_chunks."))
}

fn not_of_codes() -> ErrorReport {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
        "not an index of codes",
        "matrice",
    )
    .set_hint("Pass matrice.idx_embeddings_codes.")
}

/// A scan of a [`CodeIndex`].
struct Scan<'a> {
    of: &'a CodeIndex,
    scan: pg_sys::IndexScanDesc,
    /// For a row that has to be looked up.
    slot: *mut pg_sys::TupleTableSlot,
    /// The page of the visibility map that was looked at last.
    map_page: Cell<pg_sys::Buffer>,
    /// The entry's code, where the index holds it compressed.
    unpacked: Cell<*mut pg_sys::varlena>,
}

impl<'a> Scan<'a> {
    fn begin(of: &'a CodeIndex) -> Self {
        // SAFETY: the relations are open and locked, and an active snapshot is there while a query runs.
        unsafe {
            let (table, index) = (of.table.as_ptr(), of.index.as_ptr());
            let snapshot = pg_sys::GetActiveSnapshot();
            #[cfg(not(feature = "pg18"))]
            let scan = pg_sys::index_beginscan(table, index, snapshot, KEYS as i32, 0);
            #[cfg(feature = "pg18")]
            let scan = pg_sys::index_beginscan(table, index, snapshot, std::ptr::null_mut(), KEYS as i32, 0);
            (*scan).xs_want_itup = true;
            Scan {
                of,
                scan,
                slot: pg_sys::table_slot_create(table, std::ptr::null_mut()),
                map_page: Cell::new(pg_sys::InvalidBuffer as pg_sys::Buffer),
                unpacked: Cell::new(std::ptr::null_mut()),
            }
        }
    }

    /// Begins with the codes of a project and model.
    fn restart(&mut self, project_id: Uuid, model: &str) {
        let mut keys = [pg_sys::ScanKeyData::default(); KEYS];
        let values = [
            (pg_sys::F_UUID_EQ, project_id.into_datum()),
            (pg_sys::F_TEXTEQ, model.into_datum()),
        ];
        // SAFETY: there are as many keys as said, of the types of the columns that they are compared with; the scan
        // copies them, and what they point to lives as long as the query.
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

    /// Goes to the next entry, if there is one.
    #[inline]
    fn advance(&mut self) -> bool {
        // SAFETY: the scan has been restarted.
        !unsafe { pg_sys::index_getnext_tid(self.scan, pg_sys::ScanDirection::ForwardScanDirection) }
            .is_null()
    }

    /// The entry's code.
    #[inline]
    fn code(&self) -> &[u8] {
        // SAFETY: the value is of the type that `open` has seen, not null, and stays where it is until the scan advances.
        // A bit string is its length in bits, and its bytes.
        let bits = unsafe {
            let code = self.unpack(self.value(CODE).cast_mut_ptr());
            slice::from_raw_parts(
                varlena::vardata_any(code).cast(),
                varlena::varsize_any_exhdr(code),
            )
        };
        bits.get(size_of::<i32>()..).unwrap_or_default()
    }

    /// Whose code it is.
    fn chunk_id(&self) -> Id {
        // SAFETY: the value is of the type that `open` has seen, and not null.
        unsafe { *self.value(CHUNK_ID).cast_mut_ptr::<Id>() }
    }

    /// A value of the entry, of which none is null.
    #[inline]
    fn value(&self, column: i32) -> pg_sys::Datum {
        // SAFETY: the scan stands at an entry, which has the columns that `open` has seen.
        unsafe { pg_sys::nocache_index_getattr((*self.scan).xs_itup, column, (*self.scan).xs_itupdesc) }
    }

    /// # Safety
    /// `code` is a value of the entry.
    #[inline]
    unsafe fn unpack(&self, code: *mut pg_sys::varlena) -> *mut pg_sys::varlena {
        // SAFETY: by the caller. What was unpacked for the entry before is not used any more.
        unsafe {
            if !varlena::varatt_is_4b_c(code) {
                return code;
            }
            let before = self.unpacked.replace(pg_sys::pg_detoast_datum_packed(code));
            if !before.is_null() {
                pg_sys::pfree(before.cast());
            }
            self.unpacked.get()
        }
    }

    /// Whether the snapshot sees the entry's row.
    fn is_visible(&self) -> bool {
        // SAFETY: the scan stands at an entry.
        unsafe {
            let page = itemptr::item_pointer_get_block_number(&(*self.scan).xs_heaptid);
            let status =
                pg_sys::visibilitymap_get_status(self.of.table.as_ptr(), page, self.map_page.as_ptr());
            let all_visible = u32::from(status) & pg_sys::VISIBILITYMAP_ALL_VISIBLE != 0;
            // A serializable transaction has to be known to have read the row.
            if all_visible && pg_sys::XactIsoLevel != pg_sys::XACT_SERIALIZABLE as i32 {
                return true;
            }
            pg_sys::index_fetch_heap(self.scan, self.slot)
        }
    }
}

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        // After an error Postgres cleans up itself.
        if std::thread::panicking() {
            return;
        }
        // SAFETY: each is released once, and not used any more.
        unsafe {
            if self.map_page.get() != pg_sys::InvalidBuffer as pg_sys::Buffer {
                pg_sys::ReleaseBuffer(self.map_page.get());
            }
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            pg_sys::index_endscan(self.scan);
        }
    }
}
