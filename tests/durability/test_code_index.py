"""The index of codes after a crash, maintenance, a dump and a restore: searches find what a plain scan finds."""

import random

import psycopg
import pytest
from servers import Server

from conftest import sign_in
from vector_sets import near_one_of_few

DIMENSIONS = 24
EXACT = "select chunk_id, 1 - (embedding <=> %s::vector) from matrice.chunk_embeddings where project_id = %s and model = 'tiny' order by 2 desc, 1"


def store(connection, rng, project, count):
    """Embeddings of some of the project's chunks, again or for the first time."""
    connection.execute(
        "insert into matrice.chunk_embeddings (chunk_id, model, embedding) select id, 'tiny', (%s::text[])[row_number() over ()]::vector"
        "  from (select id from matrice.source_chunks where project_id = %s order by random() limit %s for update skip locked) chosen"
        "    on conflict (chunk_id, model) do update set embedding = excluded.embedding",
        [[near_one_of_few(rng, DIMENSIONS) for _ in range(count)], project, count])


CLUSTER = "select matrice_private.cluster_codes(%s, 'tiny', steps => null, minimum => 300, batch => 512)"


def fill(database):
    """Two projects, in which embeddings were changed and deleted. The codes of the first one are in cells. Returns their ids."""
    rng, projects = random.Random(1), []
    with database.connect() as connection:
        connection.execute(f"insert into matrice.embedding_models (model, dimensions) values ('tiny', {DIMENSIONS}) on conflict do nothing")
        sign_in(connection)
        for _ in range(2):
            project = connection.execute("select matrice.create_project('Codes')").fetchone()[0]
            source = connection.execute("insert into matrice.context_sources (project_id, name) values (%s, 's') returning id", [project]).fetchone()[0]
            connection.execute("insert into matrice.source_chunks (source_id, chunk_index, content) select %s, n, 'text ' || n from generate_series(1, 900) n", [source])
            for _ in range(30):
                store(connection, rng, project, 64)
            connection.execute("delete from matrice.source_chunks where project_id = %s and chunk_index %% 7 = 0", [project])
            projects.append(project)
        connection.execute("reset role")
        connection.execute(CLUSTER, [projects[0]])
        assert connection.execute("select sum(code_count) > 300 from matrice_private.code_cells").fetchone()[0]
    return projects


@pytest.fixture
def filled_database(matrice_database):
    database = matrice_database()
    database.psql(f"alter database {database.name} set search_path = public, extensions; grant usage on schema extensions to authenticated, service_role")
    return database, fill(database)


def assert_right(database, projects, seed="seed", codes_are_complete=True):
    rng = random.Random(seed)
    with database.connect() as connection:
        if codes_are_complete:
            assert all(row[0] == 0 and row[1] > 300 for row in connection.execute("select without_code, embeddings from matrice_private.verify_codes()").fetchall())
        sign_in(connection)
        found = []
        for project in projects:
            for _ in range(15):
                query = near_one_of_few(rng, DIMENSIONS)
                exact = connection.execute(EXACT, [query, project]).fetchall()
                search = "select chunk_id, similarity from matrice.match_chunks(%s::vector, %s, %s, model => 'tiny')"
                assert len(exact) > 300 and connection.execute(search, [query, project, 10000]).fetchall() == exact
                some = connection.execute(search, [query, project, 10]).fetchall()
                found.append(len({row[0] for row in some} & {row[0] for row in exact[:10]}) / 10)
        assert sum(found) / len(found) >= 0.99


def assert_lives_on(database, projects):
    assert_right(database, projects)
    with database.connect() as connection:
        sign_in(connection)
        for project in projects:
            for _ in range(5):
                store(connection, random.Random(2), project, 40)
        connection.execute("delete from matrice.source_chunks where chunk_index % 11 = 0")
    assert_right(database, projects, "changed")


# Crashes ------------------------------------------------------------------------------------------------------------------


def changes(number, projects):
    def work(connection):
        rng = random.Random(number)
        sign_in(connection)
        while True:
            store(connection, rng, rng.choice(projects), rng.choice([1, 8, 64]))
            connection.execute("delete from matrice.chunk_embeddings where chunk_id in"
                               " (select id from matrice.source_chunks order by random() limit 5 for update skip locked)")
            yield

    return work


def test_match_chunks_after_kill_9_during_changes_equals_a_plain_scan(monkeypatch):
    with Server(monkeypatch, "crash_codes") as server:
        database = server.new_database()
        projects = fill(database)
        for _ in range(3):
            server.kill_during(*(changes(number, projects) for number in range(4)))
            assert_lives_on(database, projects)


# A full disk ----------------------------------------------------------------------------------------------------------------

LARGEST_FILE = 16 * 1024  # kilobytes; files of the log of changes have as many

# Rows that fill 16 MB, and are gone: their place is free only after VACUUM.
FILLED = {
    "matrice.chunk_embeddings":
        "insert into matrice.chunk_embeddings (chunk_id, project_id, model, embedding)"
        " select gen_random_uuid(), gen_random_uuid(), 'gone', array_fill(1, array[1536])::vector from generate_series(1, 2045)",
    "matrice_private.code_pages":
        "insert into matrice_private.code_pages (project_id, model, list, page, codes)"
        " select gen_random_uuid(), 'gone', gen_random_uuid(), n, decode(repeat(md5(n::text), 240), 'hex') from generate_series(1, 4090) n",
}


@pytest.mark.parametrize("table", FILLED)
def test_match_chunks_after_stores_that_met_a_full_disk_equals_a_plain_scan(monkeypatch, table):
    with Server(monkeypatch, "full_disk") as server:
        database = server.new_database()
        projects = fill(database)
        database.psql(f"alter table {table} set (autovacuum_enabled = off); set session_replication_role = replica;"
                      f"{FILLED[table]}; delete from {table} where model = 'gone'")
        stored, refused = 0, 0
        with server.full_disk(LARGEST_FILE), database.connect() as connection:
            sign_in(connection)
            rng = random.Random(5)
            while refused < 5:
                try:
                    store(connection, rng, rng.choice(projects), 64)
                    stored += 1
                except psycopg.Error as error:
                    assert "could not extend file" in str(error), error
                    refused += 1
        assert stored > 0
        assert_right(database, projects)
        database.psql(f"vacuum {table}")
        assert_lives_on(database, projects)


# Maintenance --------------------------------------------------------------------------------------------------------------


def test_match_chunks_after_maintenance_of_the_tables_equals_a_plain_scan(filled_database):
    database, projects = filled_database
    for table in ("matrice.chunk_embeddings", *(f"matrice_private.code_{name}" for name in ("lists", "pages", "cells", "clusterings"))):
        database.psql(f"vacuum full {table}")
        database.psql(f"reindex table {table}")
    database.psql("cluster matrice_private.code_pages using code_pages_pkey; cluster matrice.chunk_embeddings using chunk_embeddings_pkey")
    assert_lives_on(database, projects)


def test_index_of_codes_does_not_grow_when_embeddings_are_stored_again(filled_database):
    database, projects = filled_database
    with database.connect() as connection:
        sign_in(connection)
        for _ in range(60):
            store(connection, random.Random(3), projects[0], 200)
        # Of a project whose codes are in cells, each statement makes as many codes again as fill a batch.
        for _ in range(8):
            store(connection, random.Random(3), projects[0], 1)
    codes, embeddings = database.rows("select codes, embeddings from matrice_private.verify_codes(%s)", [projects[0]])[0]
    assert codes <= 1.25 * embeddings + 64 + 200
    assert_right(database, projects)


# Dumps --------------------------------------------------------------------------------------------------------------------


def test_match_chunks_of_a_restored_dump_equals_a_plain_scan(filled_database, empty_database):
    source, projects = filled_database
    target = empty_database()
    target.psql(source.dump())
    target.psql(f"alter database {target.name} set search_path = public, extensions")
    assert_lives_on(target, projects)


@pytest.mark.parametrize("tables", [["lists", "pages", "cells", "clusterings", "deletions"], ["pages"]])
def test_match_chunks_of_a_dump_without_codes_equals_a_plain_scan(filled_database, empty_database, tables):
    source, projects = filled_database
    target = empty_database()
    target.psql(source.dump(*(f"--exclude-table-data=matrice_private.code_{table}" for table in tables)))
    target.psql(f"alter database {target.name} set search_path = public, extensions")
    assert target.value("select count(*) from matrice_private.code_pages") == 0
    assert_right(target, projects, codes_are_complete=False)
    target.psql("select matrice_private.rebuild_code_index()")
    assert_lives_on(target, projects)


def test_rebuild_code_index_is_for_the_owner_of_the_tables_alone(matrice_database):
    with matrice_database().connect() as connection:
        for role in ("authenticated", "service_role"):
            for call in ("rebuild_code_index()", "verify_codes()", "catch_up()", "merge_codes(null, null)", "cluster_codes(null, null)"):
                connection.execute(f"set role {role}")
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(f"select matrice_private.{call}")
