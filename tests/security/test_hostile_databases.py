"""What somebody who may create schemas, or set default privileges, can prepare before matrice is installed: nothing of use to them."""

import psycopg
import pytest

from conftest import ALICE, fill, sign_in

BOB = "00000000-0000-0000-0000-00000000000b"


@pytest.fixture
def stranger():
    with psycopg.connect(dbname="postgres", user="postgres", autocommit=True) as server:
        server.execute("drop role if exists matrice_stranger")
        server.execute("create role matrice_stranger login")
    yield "matrice_stranger"
    with psycopg.connect(dbname="postgres", user="postgres", autocommit=True) as server:
        server.execute("drop role matrice_stranger")


@pytest.fixture
def database(stranger, empty_database):
    """A superuser's database in which a stranger may create schemas, and where pgvector is in public, as by default."""
    database = empty_database()
    database.psql(f"create extension vector; grant create on database {database.name} to {stranger}; grant create on schema public to {stranger}")
    yield database
    database.user = "postgres"
    database.rows(f"drop owned by {stranger} cascade")


def as_stranger(database, script):
    type(database)(database.name, "matrice_stranger").psql(script)


LOG = "create table matrice_private.migrations (name text primary key, version text, hash text, applied_at timestamptz default now());"
SEEN = """
    create table public.seen (who text);
    grant all on public.seen to public;
    create function public.trap() returns trigger language plpgsql as $$
      begin insert into public.seen values (current_user); return new; end $$;
"""
PREPARED = {
    "schema matrice": "create schema matrice; grant all on schema matrice to public;",
    "both schemas": "create schema matrice; create schema matrice_private;" + LOG + "grant all on schema matrice, matrice_private to public; grant all on all tables in schema matrice_private to public;",
    "schema matrice_private": "create schema matrice_private; grant all on schema matrice_private to public;",
    "a log with a trigger": "create schema matrice_private;" + SEEN + LOG
        + "create trigger trap before insert on matrice_private.migrations for each row execute function public.trap();"
        + "grant all on schema matrice_private to public; grant all on matrice_private.migrations to public;",
    "a log with a deferred trigger": "create schema matrice; create schema matrice_private;" + SEEN + LOG
        + "create constraint trigger trap after insert on matrice_private.migrations deferrable initially deferred for each row execute function public.trap();",
    "a log that says all is done": "create schema matrice_private;" + LOG + "insert into matrice_private.migrations select '00' || n from generate_series(1, 8) n;",
    "a function of a likely name": "create schema matrice; create function matrice.project_ids() returns uuid[] language sql as 'select null::uuid[]';",
    "a better fitting function beside pgvector": "create function public.array_position(text[], text) returns integer language sql immutable as 'select 3';",
    "a better fitting operator beside pgvector": """
        create function public.joined(text, uuid) returns text language sql immutable as 'select null::text';
        create operator public.|| (leftarg = text, rightarg = uuid, function = public.joined);""",
}


@pytest.mark.parametrize("prepared", PREPARED.values(), ids=PREPARED.keys())
def test_h9_create_extension_by_a_superuser_refuses_a_strangers_schemas_and_objects(database, prepared):
    as_stranger(database, prepared)
    refused = database.psql("create extension matrice", check=False)
    assert refused.returncode != 0 and ("must be owner of schema matrice" in refused.stderr or "is in the way" in refused.stderr), refused.stderr
    assert "matrice_stranger" in refused.stderr  # says whose it is
    assert database.value("select to_regclass('matrice.projects')") is None
    assert database.value("select count(*) from pg_extension where extname = 'matrice'") == 0
    if "seen" in prepared:
        assert database.rows("select * from public.seen") == []


@pytest.mark.parametrize("object", [
    "create table {}.theirs (a integer)", "create function {}.theirs() returns integer language sql as 'select 1'", "create type {}.theirs as enum ('a')",
    "create operator {}.=== (leftarg = uuid, rightarg = uuid, function = pg_catalog.uuid_eq)", "create view {}.theirs as select 1", "create sequence {}.theirs",
])
@pytest.mark.parametrize("schema", ["matrice", "matrice_private"])
def test_h9_create_extension_refuses_a_strangers_object_in_its_schemas(database, schema, object):
    database.psql(f"create schema {schema}; grant create, usage on schema {schema} to matrice_stranger")
    as_stranger(database, object.format(schema))
    refused = database.psql("create extension matrice", check=False)
    assert "is in the way" in refused.stderr and "matrice_stranger" in refused.stderr
    database.psql(f"drop owned by matrice_stranger; grant create on database {database.name} to matrice_stranger; create extension matrice")


def test_h9_create_extension_by_the_owner_of_schema_matrice_succeeds(database):
    """What the hint says."""
    as_stranger(database, "create schema matrice")
    database.psql("create extension matrice", check=False)
    as_stranger(database, "create extension matrice")
    assert database.value("select relowner::regrole::text from pg_class where oid = 'matrice.projects'::regclass") == "matrice_stranger"
    # A superuser who migrates such a schema runs none of its owner's code as a superuser, nor keeps its settings.
    as_stranger(database, SEEN + """
        delete from matrice_private.migrations where name = '007_functions/35_search';
        create constraint trigger trap after insert on matrice_private.migrations deferrable initially deferred for each row execute function public.trap();""")
    refused = database.psql("select matrice.migrate()", check=False)
    assert refused.returncode != 0
    assert database.rows("select * from public.seen") == []


def test_h9_create_extension_resets_a_search_path_that_a_trigger_set(database):
    as_stranger(database, """
        create schema matrice_private;
        create function public.trap() returns trigger language plpgsql as $$
          begin perform set_config('search_path', 'public', false); return new; end $$;
        """ + LOG + "create trigger trap before insert on matrice_private.migrations for each row execute function public.trap();")
    as_stranger(database, "create extension matrice")
    as_stranger(database, "drop schema matrice cascade; delete from matrice_private.migrations; drop schema matrice_private cascade;")
    as_stranger(database, "create schema matrice_private;" + LOG + "create trigger trap before insert on matrice_private.migrations for each row execute function public.trap();")
    with psycopg.connect(dbname=database.name, user="matrice_stranger", autocommit=True) as connection:
        connection.execute("set search_path = pg_catalog")
        connection.execute("create extension matrice")
        assert connection.execute("show search_path").fetchone()[0] == "pg_catalog"


def test_h9_create_extension_by_a_superuser_after_drop_keeps_the_owners_data(database):
    as_stranger(database, "create extension matrice")
    fill(database)
    database.psql("drop extension matrice")
    refused = database.psql("create extension matrice", check=False)
    assert "must be owner of schema matrice" in refused.stderr and "Create the extension as matrice_stranger" in refused.stderr
    database.psql("set role matrice_stranger; create extension matrice")
    assert database.value("select count(*) from matrice.projects") == 1


# Default privileges ---------------------------------------------------------------------------------------------------


def test_m9_create_extension_ignores_default_privileges(database):
    database.psql("""
        do $$ begin create role anon nologin; exception when duplicate_object then end $$;
        alter default privileges grant all on tables to anon, public, matrice_stranger with grant option;
        """.replace(" with grant option", "") + """
        alter default privileges grant all on sequences to anon, public, matrice_stranger;
        alter default privileges grant all on functions to anon, public, matrice_stranger;
        alter default privileges grant all on schemas to anon, public, matrice_stranger;
        alter default privileges grant all on tables to authenticated;
        alter default privileges grant all on functions to authenticated;
        create extension matrice;
        alter default privileges revoke all on tables from anon, public, matrice_stranger, authenticated;
        alter default privileges revoke all on sequences from anon, public, matrice_stranger;
        alter default privileges revoke all on functions from anon, matrice_stranger, authenticated;
        alter default privileges grant execute on functions to public;
        alter default privileges revoke all on schemas from anon, public, matrice_stranger;
    """)
    held = """
      select o.name, a.grantee::regrole::text, a.privilege_type
        from (select n.nspname || ' itself' as name, n.oid as schema, n.nspacl as acl, n.nspowner as owner from pg_namespace n
              union all select c.relname, c.relnamespace, c.relacl, c.relowner from pg_class c where c.relkind in ('r', 'v', 'm', 'S')
              union all select p.oid::regprocedure::text, p.pronamespace, coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner from pg_proc p) o,
             aclexplode(o.acl) a
       where o.schema in ('matrice'::regnamespace, 'matrice_private'::regnamespace) and a.grantee <> o.owner"""
    assert database.rows(f"select * from ({held}) h where grantee not in ('authenticated', 'service_role', 'pg_database_owner')") == []
    granted = database.rows(f"{held} order by 1, 2, 3")
    assert len(granted) > 100
    # What is left is what an installation without default privileges grants.
    assert not any(row[0] in ("audit_log", "pillar_versions", "taken_project_ids", "migrations") and row[1] == "authenticated" and row[2] != "SELECT" for row in granted)
    assert not any(row[0].startswith("matrice_private.nearest_chunks(") and row[1] == "authenticated" for row in granted)


def test_m9_create_extension_under_default_privileges_grants_as_without_them(database, matrice_database):
    grants = """select o.name, a.grantee::regrole::text, a.privilege_type
        from (select c.oid::regclass::text as name, c.relnamespace as schema, c.relacl as acl, c.relowner as owner from pg_class c
              union all select p.oid::regprocedure::text, p.pronamespace, p.proacl, p.proowner from pg_proc p) o, aclexplode(o.acl) a
       where o.schema in ('matrice'::regnamespace, 'matrice_private'::regnamespace) and a.grantee <> o.owner order by 1, 2, 3"""
    database.psql("""
        alter default privileges grant all on tables to public, authenticated; alter default privileges grant all on functions to authenticated;
        create extension matrice;
        alter default privileges revoke all on tables from public, authenticated; alter default privileges revoke all on functions from authenticated;""")
    quiet = matrice_database()
    unqualified = lambda rows: [(name.replace("extensions.", ""), *rest) for name, *rest in rows]
    assert unqualified(database.rows(grants)) == unqualified(quiet.rows(grants))


# auth -----------------------------------------------------------------------------------------------------------------

AUTH = """
    create schema auth;
    create table auth.users (id uuid primary key);
    create function auth.uid() returns uuid language plpgsql as $$ begin
      raise warning 'ran as %', current_user; return '00000000-0000-0000-0000-0000000a11ce'; end $$;
    grant usage on schema auth to public;
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_h10_current_user_id_ignores_auth_uid_of_a_stranger(database, when):
    if when == "before":
        as_stranger(database, AUTH)
    database.psql("create extension matrice")
    if when == "after":
        as_stranger(database, AUTH)
    assert database.value("select count(*) from pg_constraint where conrelid = 'matrice.user_projects'::regclass and contype = 'f'") == 1
    fill(database)
    warnings = []
    with database.connect() as connection:
        connection.add_notice_handler(lambda notice: warnings.append(notice.message_primary))
        sign_in(connection, BOB)
        assert connection.execute("select matrice_private.current_user_id()::text").fetchone()[0] == BOB
        assert connection.execute("select count(*) from matrice.projects").fetchone()[0] == 0
        sign_in(connection, ALICE)
        assert connection.execute("select count(*) from matrice.projects").fetchone()[0] == 1
    assert warnings == []


def test_h10_current_user_id_uses_auth_uid_of_the_owner_of_matrice(database):
    as_stranger(database, "create extension matrice;" + AUTH)
    assert database.value("select matrice_private.current_user_id()::text") == ALICE
    database.psql("alter schema auth owner to postgres")
    assert database.value("select matrice_private.current_user_id()::text") == ALICE
    database.psql("create role matrice_other; alter schema auth owner to matrice_other")
    assert database.value("select matrice_private.current_user_id()") is None
    database.psql("alter schema auth owner to postgres; drop role matrice_other")


def test_h10_create_extension_beside_another_auth_schema_succeeds(database):
    database.psql("create schema auth; create table auth.users (id bigint primary key); create function auth.uid() returns text language sql as 'select 1::text'")
    database.psql("create extension matrice")
    fill(database)
