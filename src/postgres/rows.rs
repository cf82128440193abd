//! Reads rows of the schema's tables by an index, without a query.
//!
//! Postgres needs some tens of microseconds to start a query, and copies what it returns. A search reads thousands of rows, in which it
//! finds a row in a microsecond or two, and uses it in place.
//!
//! The owner of the tables can put other tables and indexes under their names, with any columns. So everything that is read is
//! checked first ([`Table::open`]).

use crate::postgres::error::error;
use pgrx::datum::Uuid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{PgRelation, name_data_to_str, pg_sys, varlena};
use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::ops::Deref;
use std::slice;

/// The 16 bytes of a UUID.
pub(crate) type Id = [u8; 16];

/// The types of the columns that are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Uuid,
    Text,
    Integer,
    Boolean,
    /// A time with time zone.
    Time,
    Bytes,
    Json,
    /// The type of pgvector.
    Vector,
}

impl Kind {
    fn is(self, held: pg_sys::Oid) -> bool {
        match self {
            Kind::Uuid => held == pg_sys::UUIDOID,
            Kind::Text => held == pg_sys::TEXTOID,
            Kind::Integer => held == pg_sys::INT4OID,
            Kind::Boolean => held == pg_sys::BOOLOID,
            Kind::Time => held == pg_sys::TIMESTAMPTZOID,
            Kind::Json => held == pg_sys::JSONBOID,
            Kind::Bytes => held == pg_sys::BYTEAOID,
            Kind::Vector => is_of_pgvector(pg_sys::TypeRelationId, held),
        }
    }

    /// The btree operator family and the collation that order a key of this type.
    fn order(self) -> (u32, pg_sys::Oid) {
        match self {
            Kind::Text => (TEXT_OPS, pg_sys::DEFAULT_COLLATION_OID),
            _ => (UUID_OPS, pg_sys::InvalidOid),
        }
    }
}

const UUID_OPS: u32 = 2968;
const TEXT_OPS: u32 = 1994;

thread_local! {
    /// What [`is_of_pgvector`] has found: a class and an object each. A search asks for a type and a function.
    static OF_PGVECTOR: RefCell<Vec<(pg_sys::Oid, pg_sys::Oid)>> = const { RefCell::new(Vec::new()) };
}
/// An update of pgvector may make new objects in the same session.
const MOST_OF_PGVECTOR: usize = 16;

/// Whether an object is a member of the extension vector, or was one earlier in this session.
///
/// To look it up takes longer than to compare some ten vectors. What was a member once is still what pgvector's library says: an
/// OID is not given twice in the life of a session.
pub(crate) fn is_of_pgvector(class: pg_sys::Oid, object: pg_sys::Oid) -> bool {
    if OF_PGVECTOR.with_borrow(|known| known.contains(&(class, object))) {
        return true;
    }
    // SAFETY: both look up catalogs, and return no OID if there is nothing.
    let is_member = unsafe {
        let extension = pg_sys::get_extension_oid(c"vector".as_ptr(), true);
        extension != pg_sys::InvalidOid && pg_sys::getExtensionOfObject(class, object) == extension
    };
    if is_member {
        OF_PGVECTOR.with_borrow_mut(|known| {
            known.truncate(MOST_OF_PGVECTOR - 1);
            known.push((class, object));
        });
    }
    is_member
}

/// What a table must have to be read.
pub(crate) struct Form {
    pub(crate) schema: &'static CStr,
    pub(crate) table: &'static CStr,
    pub(crate) index: &'static CStr,
    /// The first columns of the index. Rows are found by them.
    pub(crate) keys: &'static [(&'static str, Kind)],
    /// The columns that are read.
    pub(crate) columns: &'static [(&'static str, Kind)],
}

/// A value of a key.
#[derive(Clone, Copy)]
pub(crate) enum Key<'a> {
    Uuid(Id),
    Text(&'a str),
}

/// A table and one of its indexes, open. The current user may read all of its rows.
pub(crate) struct Table {
    form: &'static Form,
    table: PgRelation,
    index: PgRelation,
    /// The numbers of the columns of the form, from 1.
    numbers: Vec<i32>,
}

impl Table {
    /// Opens a table.
    ///
    /// # Errors
    /// `42501` unless the user may read every row of the table, because its policies are not applied.
    /// `55000` if there is no such table and index, or one of another form.
    pub(crate) fn open(form: &'static Form) -> Result<Self, ErrorReport> {
        // SAFETY: these look up names, and return no OID if there is none.
        let (table, index) = unsafe {
            let schema = pg_sys::get_namespace_oid(form.schema.as_ptr(), true);
            (
                pg_sys::get_relname_relid(form.table.as_ptr(), schema),
                pg_sys::get_relname_relid(form.index.as_ptr(), schema),
            )
        };
        if table == pg_sys::InvalidOid || index == pg_sys::InvalidOid {
            return Err(form.missing());
        }
        require_readable(table)?;
        let mut opened = Table {
            form,
            table: open(table).ok_or_else(|| form.missing())?,
            index: open(index).ok_or_else(|| form.missing())?,
            numbers: Vec::new(),
        };
        if !opened.is_plain() || !opened.is_whole() || !opened.has_keys() {
            return Err(form.missing());
        }
        for (name, kind) in form.columns {
            let number = opened.number_of(name, *kind).ok_or_else(|| form.missing())?;
            opened.numbers.push(number);
        }
        Ok(opened)
    }

    /// Whether the table is a plain heap, and the index a btree.
    fn is_plain(&self) -> bool {
        // SAFETY: every open relation has these.
        let (table, index) = unsafe { (&*self.table.rd_rel, &*self.index.rd_rel) };
        table.relkind == pg_sys::RELKIND_RELATION as c_char
            && table.relpersistence == pg_sys::RELPERSISTENCE_PERMANENT as c_char
            && table.relam == pg_sys::HEAP_TABLE_AM_OID
            && index.relkind == pg_sys::RELKIND_INDEX as c_char
            && index.relam == pg_sys::BTREE_AM_OID
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

    /// Whether the index begins with the keys, ordered as [`Scan::find`] compares them. Call it only for an index.
    fn has_keys(&self) -> bool {
        let keys = self.form.keys;
        // SAFETY: every open index has this.
        let index = unsafe { &*self.index.rd_index };
        if usize::from(index.indnkeyatts.unsigned_abs()) < keys.len() {
            return false;
        }
        // SAFETY: there is one number, one family and one collation per key column of the index.
        let (numbers, families, collations) = unsafe {
            (
                index.indkey.values.as_slice(keys.len()),
                slice::from_raw_parts(self.index.rd_opfamily, keys.len()),
                slice::from_raw_parts(self.index.rd_indcollation, keys.len()),
            )
        };
        let held = self.index.tuple_desc();
        keys.iter().enumerate().all(|(place, (name, kind))| {
            let (family, collation) = kind.order();
            self.number_of(name, *kind) == Some(i32::from(numbers[place]))
                && held.get(place).is_some_and(|column| kind.is(column.atttypid))
                && families[place].to_u32() == family
                && collations[place] == collation
        })
    }

    /// The number of a column of the table, if it has one of that name and type.
    fn number_of(&self, name: &str, kind: Kind) -> Option<i32> {
        let columns = self.table.tuple_desc();
        (0..columns.len()).zip(1..).find_map(|(place, number)| {
            let column = columns.get(place)?;
            let is_it =
                !column.attisdropped && name_data_to_str(&column.attname) == name && kind.is(column.atttypid);
            is_it.then_some(number)
        })
    }

    /// The type of a column.
    pub(crate) fn type_of(&self, column: usize) -> pg_sys::Oid {
        let place = usize::try_from(self.numbers[column] - 1).unwrap_or_default();
        self.table
            .tuple_desc()
            .get(place)
            .map_or(pg_sys::InvalidOid, |column| column.atttypid)
    }
}

impl Form {
    fn missing(&self) -> ErrorReport {
        let name = |name: &CStr| name.to_string_lossy().into_owned();
        let (schema, table, index) = (name(self.schema), name(self.table), name(self.index));
        let keys: Vec<_> = self.keys.iter().map(|(name, _)| *name).collect();
        error(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "{schema}.{table} or its index {index} is not there, not built, or not the one that searches read"
            ),
            None,
            Some(format!(
                "Make the table as the schema has it, with the index {index} on ({}).",
                keys.join(", ")
            )),
        )
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
        "permission denied for embeddings and their codes",
        None,
        Some("Search with match_chunks.".into()),
    ))
}

/// A scan of a [`Table`]. It reads the rows that the active snapshot sees.
pub(crate) struct Scan<'a> {
    of: &'a Table,
    scan: pg_sys::IndexScanDesc,
    slot: *mut pg_sys::TupleTableSlot,
    /// Whether the index has an entry that `arrive` may move to.
    is_on_its_way: bool,
}

impl<'a> Scan<'a> {
    /// # Errors
    /// `55000` if there is no active snapshot.
    pub(crate) fn begin(of: &'a Table) -> Result<Self, ErrorReport> {
        // SAFETY: reads a flag.
        if !unsafe { pg_sys::ActiveSnapshotSet() } {
            let code = PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
            return Err(error(code, "rows are read by queries only", None, None));
        }
        let keys = of.form.keys.len() as i32;
        // SAFETY: the relations are open and locked, and there is an active snapshot.
        unsafe {
            let (table, index) = (of.table.as_ptr(), of.index.as_ptr());
            let snapshot = pg_sys::GetActiveSnapshot();
            #[cfg(not(feature = "pg18"))]
            let scan = pg_sys::index_beginscan(table, index, snapshot, keys, 0);
            #[cfg(feature = "pg18")]
            let scan = pg_sys::index_beginscan(table, index, snapshot, std::ptr::null_mut(), keys, 0);
            Ok(Scan {
                of,
                scan,
                slot: pg_sys::table_slot_create(table, std::ptr::null_mut()),
                is_on_its_way: false,
            })
        }
    }

    /// Moves before the first row with these values of the keys. There must be a value for each key of the form, of its type.
    pub(crate) fn find(&mut self, values: &[Key]) {
        debug_assert_eq!(values.len(), self.of.form.keys.len());
        let mut keys: Vec<_> = values.iter().map(|_| pg_sys::ScanKeyData::default()).collect();
        // SAFETY: there is a key for each of the form, of the type of its column. The scan copies them, and what they point to
        // lives as long as the query.
        unsafe {
            for (place, (key, value)) in keys.iter_mut().zip(values).enumerate() {
                let (function, value) = match value {
                    Key::Uuid(id) => (pg_sys::F_UUID_EQ, Uuid::from_bytes(*id).into_datum()),
                    Key::Text(text) => (pg_sys::F_TEXTEQ, text.into_datum()),
                };
                pg_sys::ScanKeyEntryInitialize(
                    key,
                    0,
                    place as pg_sys::AttrNumber + 1,
                    pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
                    pg_sys::InvalidOid,
                    *(*self.of.index.as_ptr()).rd_indcollation.add(place),
                    function.into(),
                    value.unwrap_or(pg_sys::Datum::null()),
                );
            }
            pg_sys::index_rescan(
                self.scan,
                keys.as_mut_ptr(),
                keys.len() as i32,
                std::ptr::null_mut(),
                0,
            );
        }
    }

    /// Moves to the next row, and returns whether there is one.
    pub(crate) fn advance(&mut self) -> bool {
        // SAFETY: the scan has been restarted by `find`.
        unsafe {
            pg_sys::index_getnext_slot(self.scan, pg_sys::ScanDirection::ForwardScanDirection, self.slot)
        }
    }

    /// Looks up the first row with these values of the keys, and asks for its page, from the disk or into the processor's cache.
    /// [`Scan::arrive`] moves to the row. Other scans can look up theirs in the meantime.
    pub(crate) fn set_out(&mut self, values: &[Key]) {
        self.find(values);
        // SAFETY: the scan has been restarted by `find`. The page of a row that the index names is there. In memory, pages are
        // counted from 1.
        unsafe {
            let row = pg_sys::index_getnext_tid(self.scan, pg_sys::ScanDirection::ForwardScanDirection);
            self.is_on_its_way = !row.is_null();
            if !self.is_on_its_way {
                return;
            }
            let fork = pg_sys::ForkNumber::MAIN_FORKNUM;
            let block = pgrx::itemptr::item_pointer_get_block_number_no_check(*row);
            let held = pg_sys::PrefetchBuffer(self.of.table.as_ptr(), fork, block).recent_buffer;
            if let Ok(place) = usize::try_from(held - 1) {
                let page = pg_sys::BufferBlocks.wrapping_add(place * pg_sys::BLCKSZ as usize);
                fetch(page.cast(), pg_sys::BLCKSZ as usize);
            }
        }
    }

    /// Moves to the row that the scan set out for, and returns whether there is one.
    pub(crate) fn arrive(&mut self) -> bool {
        if !std::mem::take(&mut self.is_on_its_way) {
            return false;
        }
        // SAFETY: the scan is at an entry of the index. If nobody sees its row, another entry may have one with the same keys.
        unsafe { pg_sys::index_fetch_heap(self.scan, self.slot) || self.advance() }
    }

    /// The value of a column of the form, unless it is null.
    fn value(&self, column: usize) -> Option<pg_sys::Datum> {
        let number = self.of.numbers[column];
        // SAFETY: the scan is at a row of the table, which has the column.
        unsafe {
            if i32::from((*self.slot).tts_nvalid) < number {
                pg_sys::slot_getsomeattrs_int(self.slot, number);
            }
            let place = number as usize - 1;
            (!*(*self.slot).tts_isnull.add(place)).then(|| *(*self.slot).tts_values.add(place))
        }
    }

    /// The value of a column of the kind [`Kind::Uuid`].
    pub(crate) fn uuid(&self, column: usize) -> Option<Id> {
        debug_assert!(self.of.form.columns[column].1 == Kind::Uuid);
        // SAFETY: the value is a UUID, as `Table::open` has checked.
        self.value(column)
            .map(|value| unsafe { *value.cast_mut_ptr::<Id>() })
    }

    /// The value of a column of the kind [`Kind::Integer`].
    pub(crate) fn integer(&self, column: usize) -> Option<i32> {
        debug_assert!(self.of.form.columns[column].1 == Kind::Integer);
        self.value(column).map(|value| value.value() as i32)
    }

    /// The value of a column of the kind [`Kind::Boolean`].
    pub(crate) fn boolean(&self, column: usize) -> Option<bool> {
        debug_assert!(self.of.form.columns[column].1 == Kind::Boolean);
        self.value(column).map(|value| value.value() & 0xff != 0)
    }

    /// The value of a column of the kind [`Kind::Time`], in microseconds since 2000.
    pub(crate) fn time(&self, column: usize) -> Option<i64> {
        debug_assert!(self.of.form.columns[column].1 == Kind::Time);
        self.value(column).map(|value| value.value() as i64)
    }

    /// The value of a column of the kind [`Kind::Text`], if it is UTF-8.
    pub(crate) fn text(&self, column: usize) -> Option<String> {
        debug_assert!(self.of.form.columns[column].1 == Kind::Text);
        // SAFETY: the value has a length and bytes, as `Table::open` has checked. It stays in place until the scan advances.
        let bytes = self.value(column).map(|value| unsafe { Bytes::of(value) })?;
        str::from_utf8(&bytes).ok().map(str::to_owned)
    }

    /// The value of a column of the kind [`Kind::Bytes`], [`Kind::Json`] or [`Kind::Vector`].
    pub(crate) fn bytes(&self, column: usize) -> Option<Bytes<'_>> {
        debug_assert!(matches!(
            self.of.form.columns[column].1,
            Kind::Bytes | Kind::Json | Kind::Vector
        ));
        // SAFETY: the value has a length and bytes, as `Table::open` has checked. It stays in place until the scan advances.
        self.value(column).map(|value| unsafe { Bytes::of(value) })
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
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            pg_sys::index_endscan(self.scan);
        }
    }
}

/// Asks the processor for values of the next rows, while it works on the current one.
///
/// Rows that were stored together mostly stand in pages side by side, also in the memory that Postgres keeps them in. The
/// processor fetches what comes next by itself, but only within four kilobytes.
#[derive(Default)]
pub(crate) struct ReadAhead {
    /// The address of the last value, and how many in a row stood one page apart.
    last: usize,
    in_order: usize,
}

impl ReadAhead {
    /// To be called with each value before it is used.
    pub(crate) fn at(&mut self, bytes: &[u8]) {
        let address = bytes.as_ptr().addr();
        let page = pg_sys::BLCKSZ as usize;
        self.in_order = if address == self.last.wrapping_add(page) {
            self.in_order + 1
        } else {
            0
        };
        self.last = address;
        if self.in_order > 0 {
            fetch(bytes.as_ptr().wrapping_add(page), bytes.len());
        }
    }
}

/// Asks the processor to fetch memory. There may be nothing.
fn fetch(start: *const u8, length: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..length).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint that never fails, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(offset).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, length);
}

/// A value that has a length and bytes, decompressed and fetched if necessary.
pub(crate) struct Bytes<'a> {
    value: *mut pg_sys::varlena,
    is_copy: bool,
    bytes: &'a [u8],
}

impl Bytes<'_> {
    /// # Safety
    /// The value must have a length and bytes, and stay in place for the lifetime.
    pub(crate) unsafe fn of(value: pg_sys::Datum) -> Self {
        // SAFETY: as the caller says. What is not a copy of its own is in place.
        unsafe {
            let held = value.cast_mut_ptr::<pg_sys::varlena>();
            let value = pg_sys::pg_detoast_datum(held);
            Bytes {
                value,
                is_copy: value != held,
                bytes: slice::from_raw_parts(
                    varlena::vardata_any(value).cast::<u8>(),
                    varlena::varsize_any_exhdr(value),
                ),
            }
        }
    }

    /// The value with its length, as functions of Postgres take it.
    pub(crate) fn datum(&self) -> pg_sys::Datum {
        self.value.into()
    }
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl Drop for Bytes<'_> {
    fn drop(&mut self) {
        if self.is_copy && !std::thread::panicking() {
            // SAFETY: the copy was made for this value, and is not used any more.
            unsafe { pg_sys::pfree(self.value.cast()) }
        }
    }
}
