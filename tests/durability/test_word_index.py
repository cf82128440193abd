"""The word index after a crash, a dump and a restore, and on a subscriber: searches are right, or rebuild_word_index makes them so."""

import random
import threading
from pathlib import Path

import psycopg
import pytest
from servers import Server

from conftest import sign_in
from plain_bm25 import WORDS, compare, stems


def text(rng, chunks):
    return "\n\n".join(" ".join(rng.choices(WORDS, k=rng.choice([1, 3, 5]))) for _ in range(chunks))


def ingest(connection, rng, project, chunks):
    connection.execute("select matrice.ingest_source(%s, 'text', %s, max_tokens => 12, overlap_tokens => 0)", [project, text(rng, chunks)])


def fill(database):
    """Projects in two languages, in which chunks were changed and deleted. Returns their ids."""
    rng = random.Random(1)
    with database.connect() as connection:
        sign_in(connection)
        projects = [connection.execute("select matrice.create_project('Words', settings => jsonb_build_object('language', %s::text))", [language]).fetchone()[0]
                    for language in ("english", "french")]
        for project in projects * 5:
            ingest(connection, rng, project, 40)
        connection.execute("update matrice.source_chunks set content = 'amber lanterns' where chunk_index % 7 = 0")
        connection.execute("delete from matrice.source_chunks where chunk_index % 5 = 0")
    return projects


def assert_right(database, projects, seed="seed"):
    with database.connect() as connection:
        stem = stems(connection)
        sign_in(connection)
        texts, wrong = compare(connection, random.Random(seed), projects, stem, queries=40)
    assert texts > 10 and not wrong, wrong


def assert_lives_on(database, projects):
    """What is there is right, and so it is after chunks were added, changed and deleted."""
    assert_right(database, projects)
    with database.connect() as connection:
        sign_in(connection)
        for project in projects:
            ingest(connection, random.Random(2), project, 20)
        connection.execute("update matrice.source_chunks set content = 'quarry meadow' where chunk_index % 3 = 0")
        connection.execute("delete from matrice.source_chunks where chunk_index % 4 = 0")
    assert_right(database, projects, "changed")


# Crashes ------------------------------------------------------------------------------------------------------------------


def changes(number, projects):
    def work(connection):
        rng = random.Random(number)
        sign_in(connection)
        while True:
            ingest(connection, rng, rng.choice(projects), 40)
            connection.execute("update matrice.source_chunks set content = %s where id in (select id from matrice.source_chunks order by random() limit 5 for update skip locked)",
                               [rng.choice(WORDS)])
            connection.execute("delete from matrice.source_chunks where id in (select id from matrice.source_chunks order by random() limit 30 for update skip locked)")
            yield

    return work


def test_search_chunks_after_kill_9_during_changes_equals_a_plain_bm25(monkeypatch):
    with Server(monkeypatch, "crash_words") as server:
        database = server.new_database()
        projects = fill(database)
        for _ in range(3):
            server.kill_during(*(changes(number, projects) for number in range(4)))
            assert_lives_on(database, projects)


# Memory -------------------------------------------------------------------------------------------------------------------


def memory_of(connection, statement):
    """The most memory of its own, in bytes, that the backend has while it runs a statement."""
    status, most, done = Path(f"/proc/{connection.info.backend_pid}/status"), [0], threading.Event()

    def watch():
        while not done.wait(0.005):
            most[0] = max(most[0], int(status.read_text().partition("RssAnon:")[2].split()[0]) * 1024)

    watcher = threading.Thread(target=watch)
    watcher.start()
    connection.execute(statement)
    done.set()
    watcher.join()
    return most[0]


@pytest.mark.parametrize("statement", ["delete from matrice.source_chunks where chunk_index > 0", "delete from matrice.context_sources",
                                       "delete from matrice.projects", "select matrice_private.rebuild_word_index()"])
def test_memory_of_a_statement_does_not_grow_with_the_words_of_its_chunks(matrice_database, statement):
    """Of 200 MB of vectors. Of 1 GB they could not be kept at once at all: 54000."""
    database = matrice_database()
    with database.connect() as connection:
        project = connection.execute("insert into matrice.projects (name) values ('Large') returning id").fetchone()[0]
        source = connection.execute("insert into matrice.context_sources (project_id, name) values (%s, 's') returning id", [project]).fetchone()[0]
        connection.execute("insert into matrice.source_chunks (source_id, chunk_index, content) values (%s, 0, %s)",
                           [source, " ".join(f"w{number:06}" for number in range(60_000))])
        # Analysing all of them would take minutes.
        connection.execute("alter table matrice.source_chunks disable trigger user")
        connection.execute("insert into matrice.source_chunks (source_id, project_id, chunk_index, content, fts, filterable)"
                           " select source_id, project_id, n, 'x', fts, filterable from matrice.source_chunks, generate_series(1, 350) n")
        connection.execute("alter table matrice.source_chunks enable trigger user")
        assert connection.execute("select sum(octet_length(tsvectorsend(fts))) from matrice.source_chunks").fetchone()[0] > 150 << 20
    with database.connect() as connection:
        assert memory_of(connection, statement) < 128 << 20


# Dumps --------------------------------------------------------------------------------------------------------------------


def test_search_chunks_of_a_restored_dump_equals_a_plain_bm25(matrice_database, empty_database):
    source = matrice_database()
    projects = fill(source)
    target = empty_database()
    target.psql(source.dump())
    assert_lives_on(target, projects)


@pytest.fixture
def emptied_database(matrice_database):
    """Without the rows that CREATE EXTENSION fills in, which a dump of data brings, too."""
    def make():
        database = matrice_database()
        database.psql("truncate matrice.embedding_models, matrice.model_prices, matrice.model_price_windows, matrice.model_price_multipliers,"
                      " matrice.quotas, matrice_private.migrations, matrice_private.price_units,"
                      " matrice_private.price_sheets, matrice_private.priced_names cascade")
        return database

    return make


def test_search_chunks_after_a_data_only_restore_without_triggers_equals_a_plain_bm25(matrice_database, emptied_database):
    source, target = matrice_database(), emptied_database()
    projects = fill(source)
    target.psql(source.dump("--data-only", "--disable-triggers"))
    assert_lives_on(target, projects)


def test_search_chunks_after_a_data_only_restore_with_triggers_equals_a_plain_bm25(matrice_database):
    source, target = matrice_database(), matrice_database()
    projects = fill(source)
    tables = [f"--table=matrice.{table}" for table in ("projects", "user_projects", "context_sources", "source_chunks")]
    target.psql("alter table matrice.projects disable trigger user;"  # They add owners, which the dump has.
                + source.dump("--data-only", *tables) + "alter table matrice.projects enable trigger user;")
    assert_lives_on(target, projects)


def test_rebuild_word_index_after_a_restore_of_schema_matrice_without_triggers_makes_searches_right(matrice_database, emptied_database):
    source, target = matrice_database(), emptied_database()
    projects = fill(source)
    target.psql(source.dump("--data-only", "--disable-triggers", "--schema=matrice"))
    assert target.value("select count(*) from matrice_private.word_segments") == 0
    target.psql("select matrice_private.rebuild_word_index()")
    assert_lives_on(target, projects)


def test_rebuild_word_index_of_one_project_leaves_the_others_as_they_are(matrice_database):
    database = matrice_database()
    one, other = fill(database)
    before = database.rows("select * from matrice_private.word_segments where project_id = %s order by id", [other])
    database.rows("delete from matrice_private.word_segments where project_id = %s", [one])
    database.rows("select matrice_private.rebuild_word_index(%s)", [one])
    assert database.rows("select * from matrice_private.word_segments where project_id = %s order by id", [other]) == before != []
    assert_lives_on(database, [one, other])


def test_rebuild_word_index_is_for_the_owner_of_the_tables_alone(matrice_database):
    with matrice_database().connect() as connection:
        for role in ("authenticated", "service_role"):
            connection.execute(f"set role {role}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("select matrice_private.rebuild_word_index()")
