"""Installing, dropping and re-creating the extension; who owns what; what a hostile database can do."""

import psycopg
import pytest

from conftest import fill, sign_in


@pytest.fixture
def app_role():
    """A role that owns databases and is nothing else, like Supabase's postgres."""
    with psycopg.connect(dbname="postgres", user="postgres", autocommit=True) as server:
        server.execute("drop role if exists matrice_app")
        server.execute("create role matrice_app login")
    yield "matrice_app"
    with psycopg.connect(dbname="postgres", user="postgres", autocommit=True) as server:
        server.execute("drop role matrice_app")


@pytest.fixture
def app_database(app_role, empty_database):
    """A database owned by that role, with pgvector, seen as that role."""
    database = empty_database(owner=app_role)
    database.psql("create extension vector")
    database.user = app_role
    yield database
    database.user = "postgres"


def test_only_functions_are_members_of_the_extension(matrice_database):
    kinds = matrice_database().rows(
        "select distinct d.classid::regclass::text from pg_depend d join pg_extension e on e.oid = d.refobjid"
        " where e.extname = 'matrice' and d.deptype = 'e'")
    assert kinds == [("pg_proc",)]


def test_drop_extension_keeps_every_row(matrice_database):
    database = matrice_database()
    project = fill(database)
    data = database.dump("--data-only")
    schema = database.dump("--schema-only")
    database.psql("drop extension matrice")
    assert database.dump("--data-only") == data
    database.psql("create extension matrice")
    assert database.dump("--data-only") == data
    assert database.dump("--schema-only") == schema
    with database.connect() as connection:
        sign_in(connection)
        connection.execute("select matrice.ingest_source(%s, 'after', 'Works again.')", [project])


def test_the_owner_of_a_database_can_install_and_owns_the_tables(app_database):
    app_database.psql("create extension matrice")
    owners = app_database.rows(
        "select distinct c.relowner::regrole::text from pg_class c"
        " where c.relnamespace in ('matrice'::regnamespace, 'matrice_private'::regnamespace)")
    assert owners == [("matrice_app",)]
    owners = app_database.rows(
        "select distinct p.proowner::regrole::text from pg_proc p where p.pronamespace = 'matrice_private'::regnamespace")
    assert owners == [("matrice_app",)]
    app_database.psql("""
        alter table matrice.projects add column colour text;
        create policy "everything is visible" on matrice.projects for select to service_role using (true);
        create index my_index on matrice.projects (colour);
        alter table matrice.insights add constraint title_is_short check (length(title) < 1000);
    """)
    fill(app_database_as_superuser(app_database))
    assert app_database.value("select count(*) from matrice.projects") == 1


def app_database_as_superuser(database):
    """The same database for a session that may become any role, as PostgREST's may."""
    return type(database)(database.name, "postgres")


def test_the_owner_of_a_database_can_dump_and_restore(app_database, app_role, empty_database):
    app_database.psql("create extension matrice")
    fill(app_database_as_superuser(app_database))
    dump = app_database.dump()
    target = empty_database(owner=app_role)
    target.psql("create extension vector")
    target.user = app_role
    # vector is there already, and its comment belongs to a superuser: not this role's to restore.
    ours = "\n".join(line for line in dump.splitlines() if not line.startswith("COMMENT ON EXTENSION"))
    target.psql(ours)
    assert target.dump() == dump
    target.user = "postgres"


def test_reassign_owned_leaves_searches_ingestion_and_migrate_working(app_database):
    app_database.psql("create extension matrice")
    everybody = app_database_as_superuser(app_database)
    fill(everybody)
    everybody.psql("drop role if exists matrice_successor; create role matrice_successor login; reassign owned by matrice_app to matrice_successor")
    with everybody.connect() as connection:
        sign_in(connection)
        assert connection.execute("select count(*) from matrice.search_chunks('create')").fetchone()[0] > 0
        assert connection.execute(
            "select count(*) from matrice.match_chunks((select embedding from matrice.chunk_embeddings limit 1))").fetchone()[0] > 0
        connection.execute("select matrice.ingest_source(id, 'after', 'Works again.') from matrice.projects")
    assert type(app_database)(app_database.name, "matrice_successor").value("select matrice.migrate()") == []
    everybody.psql("reassign owned by matrice_successor to matrice_app; drop role matrice_successor")


def test_a_role_that_is_no_superuser_restores_an_archive_of_the_schemas(app_role, empty_database, tmp_path):
    """Of a whole database it cannot: pgvector, its schema and their comments are there already and belong to others."""
    source, target = empty_database(owner=app_role), empty_database(owner=app_role)
    for database in (source, target):
        database.psql("create schema extensions; create extension vector schema extensions; grant usage on schema extensions to public")
        database.user = app_role
    source.psql("create extension matrice")
    fill(app_database_as_superuser(source))
    archive = str(tmp_path / "backup")

    source._run(["pg_dump", "-U", app_role, "-d", source.name, "-Fc", "-f", archive])
    refused = source._run(["pg_restore", "-U", app_role, "--exit-on-error", "-d", target.name, archive], check=False)
    assert refused.returncode != 0 and 'schema "extensions" already exists' in refused.stderr

    source._run(["pg_dump", "-U", app_role, "-d", source.name, "-Fc", "-f", archive, "-e", "matrice", "-n", "matrice", "-n", "matrice_private"])
    target._run(["pg_restore", "-U", app_role, "--exit-on-error", "-d", target.name, archive])
    schemas = ("-n", "matrice", "-n", "matrice_private")
    assert target.dump(*schemas) == source.dump(*schemas)
    assert target.value("select matrice.migrate()") == []
    target.user = "postgres"
    with target.connect() as connection:
        sign_in(connection)
        connection.execute("select matrice.ingest_source(id, 'after', 'Works again.') from matrice.projects")
    source.user = "postgres"


def test_migrate_runs_as_the_owner_and_never_as_superuser(app_database):
    """The installing role may have laid out a trap where the migrations will step."""
    app_database.psql("""
        create schema matrice_private;
        create table matrice_private.migrations (name text primary key, version text, hash text, applied_at timestamptz default now());
        create table public.seen (who text);
        create function public.trap() returns trigger language plpgsql as $$
          begin insert into public.seen values (current_user); return new; end $$;
        create trigger trap before insert on matrice_private.migrations for each row execute function public.trap();
    """)
    app_database.psql("create extension matrice")
    assert app_database.rows("select distinct who from public.seen") == [("matrice_app",)]


def test_create_extension_refuses_a_strangers_table_migrations(app_database):
    stranger = app_database_as_superuser(app_database)
    stranger.psql("""
        create schema matrice_private;
        create table matrice_private.migrations (name text);
        grant usage on schema matrice_private to public;
        grant all on matrice_private.migrations to public;
    """)
    refused = app_database.psql("create extension matrice", check=False)
    assert "must be owner of table matrice_private.migrations" in refused.stderr
    assert app_database.value("select count(*) from pg_extension where extname = 'matrice'") == 0


def test_create_extension_refuses_a_strangers_schema_matrice(app_database):
    stranger = app_database_as_superuser(app_database)
    stranger.psql("create schema matrice; grant all on schema matrice to public")
    refused = app_database.psql("create extension matrice", check=False)
    assert "must be owner of schema matrice" in refused.stderr
    assert stranger.value("select to_regclass('matrice.projects')") is None


def test_create_extension_refuses_to_replace_a_function_count_tokens(app_database):
    app_database.psql("create schema matrice; create function matrice.count_tokens(text, text) returns int language sql as 'select 42'")
    refused = app_database.psql("create extension matrice", check=False)
    assert 'function "count_tokens" already exists with same argument types' in refused.stderr
    assert app_database.value("select matrice.count_tokens('a', 'b')") == 42


def test_migrate_refuses_a_role_that_does_not_own_schema_matrice(matrice_database):
    database = matrice_database()
    with database.connect() as connection:
        connection.execute("grant execute on function matrice.migrate() to service_role")
        connection.execute("set role service_role")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="must be owner of schema matrice"):
            connection.execute("select matrice.migrate()")


def test_create_extension_refuses_pgvector_0_7_4(empty_database):
    database = empty_database()
    database.psql("create extension vector; update pg_extension set extversion = '0.7.4' where extname = 'vector'")
    refused = database.psql("create extension matrice", check=False)
    assert "matrice needs pgvector 0.8.0 or newer" in refused.stderr
    assert "ALTER EXTENSION vector UPDATE" in refused.stderr


def test_build_embedding_index_indexes_the_default_model(matrice_database):
    database = matrice_database()
    database.psql("update matrice.embedding_models set is_default = false; update matrice.embedding_models set is_default = true where model = 'gte-small'")
    database.psql("select matrice_private.build_embedding_index()")
    definition = database.value("select pg_get_indexdef('matrice.idx_embeddings_approximate'::regclass)")
    assert "vector(384)" in definition and "gte-small" in definition
    database.psql("update matrice.embedding_models set is_default = false")
    refused = database.psql("select matrice_private.build_embedding_index()", check=False)
    assert "no embedding model is the default" in refused.stderr
    assert database.value("select pg_get_indexdef('matrice.idx_embeddings_approximate'::regclass)") == definition
