//! Applies the schema. The numbered files of `sql/` are not part of the extension's script: what they make belongs to the role
//! that owns the extension, as tables of a migration would, so that pg_dump carries all of it and DROP EXTENSION leaves
//! it alone. `sql/README.md` says which files run once and which run again.

use super::error::error;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{PgTryBuilder, Spi, pg_sys};
use std::collections::HashMap;

// build.rs lists the files: ONCE, which own rows, and CODE, which is made anew wherever it changed.
include!(concat!(env!("OUT_DIR"), "/schema.rs"));

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The oldest pgvector that has iterative index scans.
const OLDEST_PGVECTOR: (u32, u32) = (0, 8);

/// Applies the schema's files that this database has not had yet, or had with another text, and returns their names.
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
    // Until migrate() returns: its own SET search_path bounds this one.
    Spi::get_one_with_args::<String>(
        "select set_config('search_path', 'pg_catalog, ' || quote_ident($1) || ', pg_temp', true)",
        &[database.vector_schema.into()],
    )
    .map_err(internal)?;
    as_owner_of_the_schema(database.schema_owner, apply_pending)
}

/// Whether a dump is being restored: every script of pg_dump turns row_security off.
fn restoring() -> bool {
    // SAFETY: a plain boolean that only this thread writes.
    unsafe { !pg_sys::row_security }
}

/// Whether the script of CREATE EXTENSION or ALTER EXTENSION UPDATE is running.
fn creating_extension() -> bool {
    // SAFETY: a plain boolean that only this thread writes.
    unsafe { pg_sys::creating_extension }
}

/// What is in the way of a first migration; the arguments are the owner of the schema and the schema of pgvector. It is what
/// the schemas hold that belongs to neither that owner nor a superuser. And it is what pgvector's schema, which the migrations
/// search, holds of such a role under a name of the server's own: a function that takes an argument's type more exactly
/// than the server's would be called in its place.
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

/// What migrate() needs to know of the database it is called in.
struct Database {
    extension_owner: pg_sys::Oid,
    /// The role the schema's objects belong to. A restored dump keeps it, while the extension then belongs to
    /// the role that restored.
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

    /// The migrations run as the owner of the schema, so only that role may ask for them. In an extension's
    /// script the current user is a superuser: there it is the installing role that counts.
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

    /// Before the first migration nobody else's work may lie where it steps. Later the owner has let in whom they liked.
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

/// Runs `work` as `owner`, with what it makes not becoming part of the extension.
///
/// A trusted extension's script runs as the bootstrap superuser. The schema's files must not: whatever the
/// installing role may have laid out before (a table with a trigger, a function of a likely name) would run with
/// a superuser's rights. As the owner they can do only what that role could do anyway. Restricted, they leave nothing behind
/// that would run once the caller is itself again: no deferred trigger, no cursor, no setting.
fn as_owner_of_the_schema<T>(
    owner: pg_sys::Oid,
    work: fn() -> Result<T, ErrorReport>,
) -> Result<T, ErrorReport> {
    let creating = creating_extension();
    let mut caller = pg_sys::Oid::INVALID;
    let mut security = 0;
    // SAFETY: out-pointers to locals, and a role that exists.
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
        // SAFETY: the level that was begun above; after an error the end of the transaction undoes it.
        unsafe { pg_sys::AtEOXact_GUC(false, settings) };
        Ok(done)
    })
    .finally(move || {
        // SAFETY: the values read above.
        unsafe {
            pg_sys::SetUserIdAndSecContext(caller, security);
            pg_sys::creating_extension = creating;
        }
    })
    .execute()
}

/// Applies the files that are due, in their order, and returns their names. A file of `ONCE` is due until it was applied. A file
/// of `CODE` is due when its text is not the one that was applied, and all of them are when a table may have changed. The
/// last one, the grants, is due whenever another was applied, and once for each version.
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

/// What the log knows of a file.
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

/// SHA-256 in hexadecimal digits, by the server.
fn hash_of(sql: &str) -> Result<String, ErrorReport> {
    Spi::get_one_with_args::<String>(
        "select encode(sha256(convert_to($1, 'UTF8')), 'hex')",
        &[sql.into()],
    )
    .map_err(internal)?
    .ok_or_else(|| internal("no hash"))
}

/// Applies a file, and writes it into the log.
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

/// Makes the log of migrations where it is missing, and lets one caller at a time pass.
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
