//! Applies the schema.
//!
//! The numbered files of `sql/` are not part of the extension's script. Their objects belong to the role that owns the
//! extension, like the tables of a migration. So pg_dump carries all of them, and DROP EXTENSION does not drop them.
//! `sql/README.md` says which files run once and which run again.

use super::error::error;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{PgTryBuilder, Spi, pg_sys};
use std::collections::HashMap;

// build.rs lists the files: ONCE has those that own rows, and CODE those that are applied again when they change.
include!(concat!(env!("OUT_DIR"), "/schema.rs"));

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The oldest pgvector that has iterative index scans.
const OLDEST_PGVECTOR: (u32, u32) = (0, 8);

/// Applies the schema's files that are new to this database or have changed, and returns their names.
#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn migrate() -> Result<Vec<String>, ErrorReport> {
    let database = Database::look()?;
    if creating_extension() && restoring() {
        notice!("matrice: the schema is left to the dump that is being restored (row_security is off)");
        return Ok(Vec::new());
    }
    database.require_owner()?;
    database.require_pgvector()?;
    database.require_no_strangers()?;
    // This setting ends when migrate() returns, because the function has a SET search_path of its own.
    Spi::get_one_with_args::<String>(
        "select set_config('search_path', 'pg_catalog, ' || quote_ident($1) || ', pg_temp', true)",
        &[database.vector_schema.into()],
    )
    .map_err(internal)?;
    as_owner_of_the_schema(database.schema_owner, apply_pending)
}

/// Whether a dump is being restored. Every script of pg_dump turns row_security off.
fn restoring() -> bool {
    // SAFETY: a plain boolean that only this thread writes.
    unsafe { !pg_sys::row_security }
}

/// Whether the script of CREATE EXTENSION or ALTER EXTENSION UPDATE is running.
fn creating_extension() -> bool {
    // SAFETY: a plain boolean that only this thread writes.
    unsafe { pg_sys::creating_extension }
}

/// Finds an object that is in the way of a first migration. The arguments are the owner of the schema and the schema of
/// pgvector. Only objects that belong to neither that owner nor a superuser can be in the way:
///
/// - the schemas of matrice, and every object in them;
/// - in pgvector's schema, which the migrations search, every function and operator that has the name of a built-in one.
///   PostgreSQL would call it instead of the built-in one if it fits the types of the arguments better.
const STRANGERS: &str = "
    with strangers as (
      select o.classid, o.objid, r.rolname
        from pg_shdepend o join pg_roles r on r.oid = o.refobjid
       where not exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                          where n.nspname = 'matrice_private' and c.relname = 'migrations' and (n.nspowner, c.relowner) = ($1, $1))
         and o.dbid = (select oid from pg_database where datname = current_database())
         and o.refclassid = 'pg_authid'::regclass and o.deptype = 'o' and o.refobjid <> $1 and not r.rolsuper
    )
    select pg_describe_object('pg_namespace'::regclass, n.oid, 0), s.rolname::text
      from pg_namespace n join strangers s on s.classid = 'pg_namespace'::regclass and s.objid = n.oid
     where n.nspname in ('matrice', 'matrice_private')
    union all
    select pg_describe_object(s.classid, s.objid, 0), s.rolname::text
      from strangers s
      join pg_depend d on d.classid = s.classid and d.objid = s.objid and d.refclassid = 'pg_namespace'::regclass
      join pg_namespace n on n.oid = d.refobjid
     where n.nspname in ('matrice', 'matrice_private')
        or n.nspname = $2 and (
          exists (select from pg_proc p join pg_proc b on b.proname = p.proname
                   where s.classid = 'pg_proc'::regclass and p.oid = s.objid and b.pronamespace = 'pg_catalog'::regnamespace)
          or exists (select from pg_operator p join pg_operator b on b.oprname = p.oprname
                      where s.classid = 'pg_operator'::regclass and p.oid = s.objid and b.oprnamespace = 'pg_catalog'::regnamespace))
     limit 1";

/// What migrate() needs to know about the current database.
struct Database {
    extension_owner: pg_sys::Oid,
    /// The role that owns the schema's objects. A restored dump keeps this role, but the extension then belongs to
    /// the role that restored the dump.
    schema_owner: pg_sys::Oid,
    vector_version: String,
    vector_schema: String,
}

impl Database {
    fn look() -> Result<Self, ErrorReport> {
        Spi::connect(|client| {
            let row = client
                .select(
                    "select m.extowner, n.nspowner, v.extversion, vn.nspname::text
                       from pg_extension m
                       join pg_namespace n on n.oid = m.extnamespace,
                            pg_extension v
                       join pg_namespace vn on vn.oid = v.extnamespace
                      where m.extname = 'matrice' and v.extname = 'vector'",
                    Some(1),
                    &[],
                )
                .map_err(internal)?;
            let missing = || internal("the extensions matrice and vector are not both installed");
            if row.is_empty() {
                return Err(missing());
            }
            let row = row.first();
            Ok(Database {
                extension_owner: row.get(1).map_err(internal)?.ok_or_else(missing)?,
                schema_owner: row.get(2).map_err(internal)?.ok_or_else(missing)?,
                vector_version: row.get(3).map_err(internal)?.ok_or_else(missing)?,
                vector_schema: row.get(4).map_err(internal)?.ok_or_else(missing)?,
            })
        })
    }

    /// Requires that the caller has the rights of the schema's owner, because the migrations run as that owner. In the
    /// script of an extension the current user is a superuser, so the check is for the role that installs.
    fn require_owner(&self) -> Result<(), ErrorReport> {
        // SAFETY: the calls read the session's identity and the catalogs in the current transaction.
        let owns = unsafe {
            let caller = if creating_extension() {
                self.extension_owner
            } else {
                pg_sys::GetUserId()
            };
            pg_sys::has_privs_of_role(caller, self.schema_owner)
        };
        if owns {
            return Ok(());
        }
        Err(error(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "must be owner of schema matrice",
            None,
            Some("ALTER SCHEMA matrice OWNER TO the role that is to own the tables.".into()),
        ))
    }

    /// Requires that no object of another role is in the way of the first migration. Afterwards the owner decides who may
    /// create objects there.
    fn require_no_strangers(&self) -> Result<(), ErrorReport> {
        let stranger = Spi::connect(|client| {
            let row = client
                .select(
                    STRANGERS,
                    Some(1),
                    &[self.schema_owner.into(), self.vector_schema.as_str().into()],
                )
                .map_err(internal)?;
            if row.is_empty() {
                return Ok(None);
            }
            let row = row.first();
            let object: Option<String> = row.get(1).map_err(internal)?;
            let owner: Option<String> = row.get(2).map_err(internal)?;
            Ok::<_, ErrorReport>(object.zip(owner))
        })?;
        let Some((object, owner)) = stranger else {
            return Ok(());
        };
        Err(error(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("{object} is in the way"),
            Some(format!(
                "It belongs to {owner}, who is neither the owner of schema matrice nor a superuser."
            )),
            Some("Drop it, or ALTER its OWNER, and try again.".into()),
        ))
    }

    fn require_pgvector(&self) -> Result<(), ErrorReport> {
        let mut numbers = self.vector_version.split('.').map_while(|part| part.parse().ok());
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if version >= OLDEST_PGVECTOR {
            return Ok(());
        }
        let (major, minor) = OLDEST_PGVECTOR;
        Err(error(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("matrice needs pgvector {major}.{minor}.0 or newer"),
            Some(format!("This database has pgvector {}.", self.vector_version)),
            Some("Install a newer pgvector, then run ALTER EXTENSION vector UPDATE.".into()),
        ))
    }
}

/// Runs `work` as `owner`. What it creates does not become part of the extension.
///
/// The script of a trusted extension runs as the bootstrap superuser. The schema's files must not. Otherwise anything that the
/// installing role has prepared (a table with a trigger, a function of a likely name) would run with a superuser's rights.
/// As the owner the files can do only what that role could do anyway. As restricted operations they leave nothing behind that
/// would run later as the caller: no deferred trigger, no cursor, no setting.
fn as_owner_of_the_schema<T>(
    owner: pg_sys::Oid,
    work: fn() -> Result<T, ErrorReport>,
) -> Result<T, ErrorReport> {
    let creating = creating_extension();
    let mut caller = pg_sys::Oid::INVALID;
    let mut security = 0;
    // SAFETY: the pointers are to locals, and the role exists.
    let settings = unsafe {
        pg_sys::GetUserIdAndSecContext(&raw mut caller, &raw mut security);
        let restricted =
            (pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION) as i32;
        pg_sys::SetUserIdAndSecContext(owner, security | restricted);
        pg_sys::creating_extension = false;
        pg_sys::NewGUCNestLevel()
    };
    PgTryBuilder::new(move || {
        let done = work()?;
        // SAFETY: the level began above. After an error, the end of the transaction ends it.
        unsafe { pg_sys::AtEOXact_GUC(false, settings) };
        Ok(done)
    })
    .finally(move || {
        // SAFETY: the values were read above.
        unsafe {
            pg_sys::SetUserIdAndSecContext(caller, security);
            pg_sys::creating_extension = creating;
        }
    })
    .execute()
}

/// Applies the files that are due, in order, and returns their names.
///
/// - A file of `ONCE` is due until it has been applied.
/// - A file of `CODE` is due if its text has changed. All files of `CODE` are due if a file of `ONCE` was applied, because a
///   table may have changed.
/// - The last file of `CODE`, the grants, is also due if any other file was applied, and once per version.
fn apply_pending() -> Result<Vec<String>, ErrorReport> {
    prepare_log()?;
    let log = read_log()?;
    let mut applied = Vec::new();
    for &(name, sql) in ONCE {
        if !log.contains_key(name) {
            applied.push(apply(name, sql)?);
        }
    }
    let Some((&(grants, grants_sql), domains)) = CODE.split_last() else {
        return Ok(applied);
    };
    let tables_changed = !applied.is_empty();
    for &(name, sql) in domains {
        if tables_changed || has_changed(log.get(name), sql)? {
            applied.push(apply(name, sql)?);
        }
    }
    let is_other_version = log.get(grants).is_none_or(|entry| entry.version != VERSION);
    if !applied.is_empty() || is_other_version || has_changed(log.get(grants), grants_sql)? {
        applied.push(apply(grants, grants_sql)?);
    }
    Ok(applied)
}

/// The entry of a file in the log.
struct Entry {
    version: String,
    hash: String,
}

fn read_log() -> Result<HashMap<String, Entry>, ErrorReport> {
    Spi::connect(|client| {
        let rows = client
            .select(
                "select name, version, hash from matrice_private.migrations",
                None,
                &[],
            )
            .map_err(internal)?;
        let mut log = HashMap::new();
        for row in rows {
            let text = |column| Ok::<_, ErrorReport>(row.get(column).map_err(internal)?.unwrap_or_default());
            log.insert(
                text(1)?,
                Entry {
                    version: text(2)?,
                    hash: text(3)?,
                },
            );
        }
        Ok(log)
    })
}

fn has_changed(entry: Option<&Entry>, sql: &str) -> Result<bool, ErrorReport> {
    let Some(entry) = entry else {
        return Ok(true);
    };
    Ok(entry.hash != hash_of(sql)?)
}

/// Returns the SHA-256 of a text in hexadecimal digits, computed by the server.
fn hash_of(sql: &str) -> Result<String, ErrorReport> {
    Spi::get_one_with_args::<String>(
        "select encode(sha256(convert_to($1, 'UTF8')), 'hex')",
        &[sql.into()],
    )
    .map_err(internal)?
    .ok_or_else(|| internal("no hash"))
}

/// Applies a file and records it in the log.
fn apply(name: &str, sql: &str) -> Result<String, ErrorReport> {
    Spi::run(sql).map_err(internal)?;
    Spi::run_with_args(
        "insert into matrice_private.migrations (name, version, hash) values ($1, $2, $3)
         on conflict (name) do update set version = excluded.version, hash = excluded.hash, applied_at = excluded.applied_at",
        &[name.into(), VERSION.into(), hash_of(sql)?.into()],
    )
    .map_err(internal)?;
    Ok(name.to_owned())
}

/// Lets one caller at a time pass, and creates the log of migrations if it is missing.
fn prepare_log() -> Result<(), ErrorReport> {
    Spi::run("select pg_advisory_xact_lock(hashtext('matrice.migrate'))").map_err(internal)?;
    let mine = Spi::get_one::<bool>(
        "select relowner = current_user::regrole from pg_class
          where oid = to_regclass('matrice_private.migrations')",
    );
    match mine {
        Ok(Some(true)) => Ok(()),
        Ok(Some(false)) => Err(error(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "must be owner of table matrice_private.migrations",
            None,
            None,
        )),
        _ => Spi::run(include_str!("../../sql/migration_log.sql")).map_err(internal),
    }
}

fn internal(cause: impl std::fmt::Display) -> ErrorReport {
    error(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        cause.to_string(),
        None,
        None,
    )
}
