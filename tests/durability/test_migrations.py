"""migrate(): files that run once, files that run again when their text changes, and what an upgrade leaves as it was.

sql/README.md is the law that these tests hold."""

import hashlib
import os
import re
import subprocess
from pathlib import Path

import psycopg
import pytest

from conftest import ROOT, fill

ONCE = sorted(file.stem for file in (ROOT / "sql").glob("[0-9]*.sql"))
CODE = [f"007_functions/{file.stem}" for file in sorted((ROOT / "sql" / "007_functions").glob("[0-9]*.sql"))]
GRANTS = CODE[-1]
LOG = "select name, version, hash from matrice_private.migrations order by name"


def text_of(name):
    return (ROOT / "sql" / f"{name}.sql").read_text()


def forget(database, name):
    """As if the file had been applied with another text."""
    database.psql(f"update matrice_private.migrations set hash = 'of another text' where name = '{name}'")


def migrate(database):
    return database.value("select matrice.migrate()")


def schema_of(database):
    return database.dump("--schema-only")


def test_migrations_log_has_every_file_with_its_hash(matrice_database):
    logged = {name: file_hash for name, _, file_hash in matrice_database().rows(LOG)}
    assert logged == {name: hashlib.sha256(text_of(name).encode()).hexdigest() for name in ONCE + CODE}
    assert GRANTS == "007_functions/99_grants" and len(CODE) > 20


def test_migrate_a_second_time_applies_nothing(matrice_database):
    assert migrate(matrice_database()) == []


def test_migrate_applies_a_changed_file_again_and_then_the_grants(matrice_database):
    database = matrice_database()
    fresh = schema_of(database)
    database.psql("""
        create or replace function matrice_private.pillar_name(code text) returns text language sql immutable
          set search_path = pg_catalog, pg_temp return 'as it was';
        comment on function matrice_private.pillar_name is 'As it was.';
        grant execute on function matrice_private.pillar_name to anon;
    """)
    forget(database, "007_functions/13_pillars")
    assert migrate(database) == ["007_functions/13_pillars", GRANTS]
    assert schema_of(database) == fresh


def test_migrate_can_apply_each_file_of_functions_again(matrice_database):
    database = matrice_database()
    fill(database)
    fresh, data = schema_of(database), database.dump("--data-only", "--exclude-table=matrice_private.migrations")
    for name in CODE:
        forget(database, name)
        assert migrate(database) == list(dict.fromkeys([name, GRANTS]))
    assert schema_of(database) == fresh
    assert database.dump("--data-only", "--exclude-table=matrice_private.migrations") == data


def test_migrate_applies_the_grants_at_each_version(matrice_database):
    database = matrice_database()
    database.psql(f"update matrice_private.migrations set version = '0.0.9' where name = '{GRANTS}'")
    assert migrate(database) == [GRANTS]
    assert database.value(f"select version from matrice_private.migrations where name = '{GRANTS}'") == "0.1.0"


def test_migrate_refuses_a_changed_result_type_and_changes_nothing(matrice_database):
    database = matrice_database()
    database.psql("""
        drop function matrice.set_phase;
        create function matrice.set_phase(project_id uuid, phase text) returns text language sql as $$ select 'as it was' $$;
    """)
    forget(database, "007_functions/10_projects")
    before = schema_of(database)
    with pytest.raises(psycopg.errors.InvalidFunctionDefinition, match="cannot change return type of existing function"):
        migrate(database)
    assert schema_of(database) == before
    assert database.value("select hash from matrice_private.migrations where name = '007_functions/10_projects'") == "of another text"


def test_migrate_restores_a_dropped_function_with_comment_and_grants(matrice_database):
    """What a file of tables does before a signature changes: it drops the function by name."""
    database = matrice_database()
    fresh = schema_of(database)
    database.psql("""
        drop function matrice.set_phase;
        create function matrice.set_phase(project_id uuid) returns text language sql as $$ select 'as it was' $$;
        drop function matrice.set_phase;
    """)
    forget(database, "007_functions/10_projects")
    migrate(database)
    assert schema_of(database) == fresh


def test_a_column_that_a_bound_body_reads_changes_after_the_function_is_dropped(matrice_database):
    database = matrice_database()
    fresh = schema_of(database)
    change = "alter table matrice.context_sources alter column name type varchar(2000)"
    refused = database.psql(change, check=False)
    assert "cannot alter type of a column used by a function" in refused.stderr and "document_rows" in refused.stderr
    database.psql(f"""
        drop function matrice_private.document_rows;
        {change};
        alter table matrice.context_sources alter column name type text;
    """)
    forget(database, "007_functions/35_match")
    migrate(database)
    assert schema_of(database) == fresh


def test_migrate_never_drops_what_a_user_built_on_a_function(matrice_database):
    database = matrice_database()
    database.psql("""
        create view public.my_metrics as select m.* from matrice.projects p, matrice.workflow_metrics(p.id, '2026-01-01') m;
        create table public.notes (project_id uuid);
        create policy mine on public.notes using (project_id = any (matrice_private.project_ids()));
    """)
    before = schema_of(database)
    for name in CODE:
        forget(database, name)
    assert migrate(database) == CODE
    assert schema_of(database) == before
    # A file that drops such a function stops the whole migration, with the name of what is in the way.
    with pytest.raises(psycopg.errors.DependentObjectsStillExist) as refused:
        database.rows("drop function matrice.workflow_metrics")
    assert "view my_metrics depends on function matrice.workflow_metrics" in refused.value.diag.message_detail
    with pytest.raises(psycopg.errors.DependentObjectsStillExist) as refused:
        database.rows("drop function matrice_private.project_ids")
    assert "policy mine on table notes depends on function matrice_private.project_ids" in refused.value.diag.message_detail
    assert schema_of(database) == before


def test_migrate_refuses_an_overload_of_set_phase_and_changes_nothing(matrice_database):
    database = matrice_database()
    database.psql("create function matrice.set_phase(phase text) returns text language sql as $$ select phase $$")
    forget(database, "007_functions/10_projects")
    before = schema_of(database)
    with pytest.raises(psycopg.errors.AmbiguousFunction, match="set_phase"):
        migrate(database)
    assert schema_of(database) == before


def test_migrate_leaves_a_users_own_objects_in_the_schemas_alone(matrice_database):
    database = matrice_database()
    database.psql("""
        create role matrice_reader;
        create function matrice.my_rpc(greeting text default 'hello') returns text language sql as $$ select greeting $$;
        grant execute on function matrice.my_rpc to anon;
        create table matrice.my_notes (id uuid primary key, project_id uuid not null, body text);
        alter table matrice.my_notes owner to matrice_reader;
        grant select on matrice.projects to matrice_reader;
        alter table matrice.projects add column colour text;
        create trigger my_trigger before update on matrice.projects for each row execute function suppress_redundant_updates_trigger();
    """)
    before = schema_of(database)
    for name in CODE:
        forget(database, name)
    assert migrate(database) == CODE
    changes = set(schema_of(database).splitlines()) ^ set(before.splitlines())
    # No statistics of a column that holds what tenants write.
    assert changes == {"ALTER TABLE ONLY matrice.projects ALTER COLUMN colour SET STATISTICS 0;"}
    database.psql("drop owned by matrice_reader; drop role matrice_reader")


def test_migrate_grants_by_name_whatever_the_default_privileges(matrice_database):
    database = matrice_database()
    fresh = schema_of(database)
    database.psql("alter default privileges grant execute on functions to anon; drop function matrice.set_phase")
    forget(database, "007_functions/10_projects")
    migrate(database)
    assert database.value("select has_function_privilege('anon', 'matrice.set_phase(uuid, text)', 'execute')") is False
    database.psql("alter default privileges revoke execute on functions from anon")
    assert schema_of(database) == fresh


def test_released_files_of_tables_are_frozen():
    frozen = dict(reversed(line.split()) for line in (ROOT / "sql" / "frozen.txt").read_text().splitlines() if not line.startswith("#"))
    assert changed_since(frozen, text_of) == []
    assert changed_since({"001_core_tables.sql": "0" * 64}, text_of) == ["001_core_tables.sql"], "the check finds a change"
    released = re.findall(r"^## \[?\d+\.\d+\.\d+\]? - \d{4}", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert frozen or not released, "scripts/freeze lists the files of a release"


def changed_since(frozen, read):
    return [name for name, digest in frozen.items() if hashlib.sha256(read(Path(name).stem).encode()).hexdigest() != digest]


# Upgrades -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def old_version():
    """A made-up version 0.0.9, whose engine lacked truncate_tokens."""
    shared = subprocess.run(["pg_config", "--sharedir"], capture_output=True, text=True, check=True).stdout.strip()
    folder = Path(shared) / "extension"
    assert folder.is_relative_to(os.environ["MATRICE_STATE"]), "only the private copy of PostgreSQL is written to"
    current = (folder / "matrice--0.1.0.sql").read_text()
    begin, end = "/* <begin connected objects> */", "/* </end connected objects> */"
    blocks = [block.split(end)[0] for block in current.split(begin)[1:]]
    truncate = next(block for block in blocks if 'FUNCTION "truncate_tokens"' in block)
    tail = next(block for block in blocks if "-- finalize" in block)
    grants = [line for line in tail.splitlines() if "truncate_tokens" in line]
    old = current.replace(truncate, "").replace("select matrice.migrate();", "")
    comment = tail[tail.index("comment on function matrice.truncate_tokens"):].split(";")[0]
    old = old.replace(comment + ";", "")
    for line in grants:
        if line.strip().startswith("'"):
            old = old.replace(line, "")
    upgrade = truncate.replace("'MODULE_PATHNAME'", "'$libdir/matrice'") + comment + """;
        revoke all on function matrice.truncate_tokens(text, integer, text) from public;
        grant execute on function matrice.truncate_tokens(text, integer, text) to authenticated, service_role, @extowner@;
        select matrice.migrate();"""
    files = {"matrice--0.0.9.sql": old, "matrice--0.0.9--0.1.0.sql": upgrade}
    for name, text in files.items():
        (folder / name).write_text(text)
    yield
    for name in files:
        (folder / name).unlink()


def apply_by_hand(database, names, text=text_of):
    """The files of version 0.0.9, as its migrate() applied them."""
    script = "set search_path = pg_catalog, extensions, pg_temp;\n"
    for name in names:
        digest = hashlib.sha256(text(name).encode()).hexdigest()
        script += f"{text(name)}\ninsert into matrice_private.migrations values ('{name}', '0.0.9', '{digest}');\n"
    database.psql(script)


def older(name):
    """Version 0.0.9 had other texts: bodies, comments, and one function that nobody may execute any more."""
    text = text_of(name)
    if name == "007_functions/13_pillars":
        text = re.sub(r"comment on function \S+ is\s+'.*?';", "", text, flags=re.DOTALL).replace("'vision'", "'the vision'")
    if name == "007_functions/99_grants":
        text = text.replace("'match_chunks', ", "") + "grant execute on function matrice_private.nearest_chunks to authenticated;"
    return text


@pytest.fixture
def old_database(old_version, empty_database):
    database = empty_database()
    database.psql("create schema extensions; create extension vector schema extensions; create extension matrice version '0.0.9';")
    database.psql((ROOT / "sql" / "migration_log.sql").read_text())
    return database


def upgrade(database):
    assert database.value("select to_regprocedure('matrice.truncate_tokens(text, integer, text)')") is None
    database.psql("insert into matrice.projects (name) values ('older than the upgrade')")
    database.psql("alter extension matrice update")
    assert database.value("select extversion from pg_extension where extname = 'matrice'") == "0.1.0"
    assert database.value("select name from matrice.projects") == "older than the upgrade"


def require_like_fresh(database, fresh):
    assert schema_of(database) == schema_of(fresh)
    members = ("select pg_describe_object(d.classid, d.objid, 0) from pg_depend d join pg_extension e on e.oid = d.refobjid"
               " where e.extname = 'matrice' and d.deptype = 'e' order by 1")
    assert database.rows(members) == fresh.rows(members)
    assert {row[0]: row[2] for row in database.rows(LOG)} == {row[0]: row[2] for row in fresh.rows(LOG)}
    fill(database)


def test_an_upgraded_database_is_a_fresh_one(old_database, matrice_database):
    """CREATE OR REPLACE of functions that are no members of the extension, inside ALTER EXTENSION UPDATE."""
    apply_by_hand(old_database, ONCE + CODE, older)
    upgrade(old_database)
    require_like_fresh(old_database, matrice_database())
    versions = dict(old_database.rows("select name, version from matrice_private.migrations"))
    assert {name for name, version in versions.items() if version == "0.1.0"} == {"007_functions/13_pillars", GRANTS}


def test_migrate_applies_all_functions_again_after_a_new_file_of_tables(old_database, matrice_database):
    """The old version ended with 005, and its log says of every function that it is there."""
    apply_by_hand(old_database, ONCE[:-1])
    for name in CODE:
        digest = hashlib.sha256(text_of(name).encode()).hexdigest()
        old_database.psql(f"insert into matrice_private.migrations values ('{name}', '0.0.9', '{digest}')")
    upgrade(old_database)
    require_like_fresh(old_database, matrice_database())
