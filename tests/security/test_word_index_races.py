"""The word index with many writers at the same moment: a search is right for the chunks of its snapshot, whatever others do.

WORDS_SOAK_SECONDS says how long everybody works at once (15 seconds unless it is set).
"""

import json
import os
import random
import time

import psycopg
import pytest

from crowds import (
    EDITORS,
    OWNER,
    Crowd,
    Writer,
    new_project,
    run,
    session,
    when_waiting,
)
from plain_bm25 import WORDS, Query, compare, difference, stems, visible_texts

SECONDS = float(os.environ.get("WORDS_SOAK_SECONDS", "15"))
LANGUAGES = ["english", "french", "simple"]
TABLES = ["word_segments", "word_blocks", "word_deletions"]
OF_NOBODY = " union all ".join(f"select '{table}', project_id from matrice_private.{table} w"
                               " where not exists (select from matrice.projects p where p.id = w.project_id)" for table in TABLES)
SIZES = """
    select project_id, analysis, floor(log(8, text_count)), count(*) from matrice_private.word_segments
     where text_count <= 6250 group by 1, 2, 3 order by 4 desc"""


def text(rng, chunks):
    return "\n\n".join(" ".join(rng.choices(WORDS, k=rng.choice([1, 3, 5]))) for _ in range(chunks))


def ingest(connection, rng, project, chunks):
    return connection.execute("select matrice.ingest_source(%s, 'text', %s, max_tokens => 12, overlap_tokens => 0)",
                              [project, text(rng, chunks)]).fetchone()[0]


def add_chunk(connection, rng, source):
    """At an index that is probably free."""
    connection.execute("insert into matrice.source_chunks (source_id, chunk_index, content) values (%s, %s, %s)",
                       [source, rng.randrange(1000, 99_999), text(rng, 1)])


def add_source(connection, project, name="source"):
    return connection.execute("insert into matrice.context_sources (project_id, name) values (%s, %s) returning id", [project, name]).fetchone()[0]


@pytest.fixture
def world(matrice_database):
    database = matrice_database()
    with database.connect() as connection:
        connection.execute("insert into matrice.embedding_models (model, dimensions) values ('tiny', 3)")
        database.projects = [new_project(connection), new_project(connection, "french")]
        database.stems = stems(connection)
    return database


def assert_right(database, projects, seed="end"):
    """As a service, and as a member."""
    for user in (None, OWNER):
        with session(database, user) as reader:
            texts, wrong = compare(reader, random.Random(seed), projects, database.stems, queries=40)
            assert texts and not wrong, wrong


# Two at the same moment ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["update matrice.source_chunks set content = 'amber' where project_id = %s",
                                    "delete from matrice.source_chunks where project_id = %s",
                                    "delete from matrice.context_sources where project_id = %s",
                                    "insert into matrice.source_chunks (source_id, chunk_index, content) select id, 50, 'amber' from matrice.context_sources where project_id = %s"])
def test_word_index_of_a_project_that_is_deleted_during_a_change_is_empty(world, change):
    project, rng = world.projects[0], random.Random(1)
    editor, owner = session(world, EDITORS[0], autocommit=False), session(world, OWNER)
    ingest(editor, rng, project, 30)
    editor.commit()
    editor.execute(change, [project])
    when_waiting(world, lambda: owner.execute("delete from matrice.projects where id = %s", [project]), editor.commit)
    assert world.value("select count(*) from matrice.source_chunks") == 0
    assert world.rows(OF_NOBODY) == []


def test_word_index_of_a_project_that_is_deleted_in_an_older_snapshot_is_empty_after_a_rebuild(world):
    """The older snapshot does not see the last deletion. Nobody finds what is left, because no project ever has that id again."""
    project, rng = world.projects[0], random.Random(1)
    editor, owner = session(world, EDITORS[0]), session(world, OWNER, autocommit=False)
    ingest(editor, rng, project, 30)
    owner.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    owner.execute("select 1 from matrice.projects").fetchall()
    editor.execute("delete from matrice.source_chunks where id = (select id from matrice.source_chunks limit 1)")
    try:
        owner.execute("delete from matrice.projects where id = %s", [project])
        owner.commit()
    except psycopg.errors.SerializationFailure:
        owner.rollback()
        owner.execute("delete from matrice.projects where id = %s", [project])
        owner.commit()
    world.rows("select matrice_private.rebuild_word_index()")
    assert world.rows(OF_NOBODY) == []


def test_search_chunks_of_a_chunk_that_moves_to_another_project_finds_it_there(world):
    """The same id with the same words: what was deleted in one project is not deleted in the other."""
    rng = random.Random(1)
    session(world, OWNER).execute("update matrice.projects set settings = settings - 'language'")
    with session(world, EDITORS[0]) as editor:
        for project in world.projects:
            ingest(editor, rng, project, 10)
        for there, here in (world.projects, world.projects[::-1]):
            id = editor.execute("insert into matrice.source_chunks (source_id, chunk_index, content) values (%s, 0, 'amber quarry') returning id",
                                [add_source(editor, there)]).fetchone()[0]
            editor.execute("delete from matrice.source_chunks where id = %s", [id])
            editor.execute("insert into matrice.source_chunks (id, source_id, chunk_index, content) values (%s, %s, 0, 'amber quarry')",
                           [id, add_source(editor, here)])
        with editor.transaction():
            texts = visible_texts(editor)
            for project in (None, *world.projects):
                assert difference(editor, Query(["amber"]), project, texts, world.stems) is None


def test_segments_are_merged_while_a_transaction_that_merged_some_is_open(world):
    """It may stay open for hours. Each search reads all segments, and each insert looks at them."""
    project, other, editor = world.projects[0], session(world, EDITORS[0], autocommit=False), session(world, EDITORS[1])
    source = add_source(editor, project)
    insert = "insert into matrice.source_chunks (source_id, chunk_index, content) values (%s, %s, 'amber')"
    for number in range(7):
        editor.execute(insert, [source, number])
    other.execute(insert, [source, 1000])
    for number in range(100, 200):
        editor.execute(insert, [source, number])
    segments = world.value("select count(*) from matrice_private.word_segments")
    other.rollback()
    assert segments <= 7 + 3 * 8
    assert_right(world, world.projects)


def unmerged_segments(world, project):
    """Eight of one size. Writers at other isolation levels than read committed leave the merging to others."""
    with session(world, EDITORS[0]) as editor:
        source = add_source(editor, project)
        for number in range(8):
            with editor.transaction():
                editor.execute("set transaction isolation level repeatable read")
                editor.execute("insert into matrice.source_chunks (source_id, chunk_index, content) values (%s, %s, 'amber')", [source, number])
    assert world.value("select count(*) from matrice_private.word_segments") == 8


@pytest.mark.parametrize("change", ["select matrice_private.rebuild_word_index()", "delete from matrice.projects where id = '{}'",
                                    "truncate matrice.source_chunks cascade"])
def test_catch_up_lets_a_rebuild_and_a_deletion_wait(world, change):
    """They would not see the segment that it has merged, and leave it."""
    project = world.projects[0]
    unmerged_segments(world, project)
    with psycopg.connect(dbname=world.name, user="postgres") as owner:
        owner.execute("select matrice_private.catch_up()")
        assert owner.execute("select count(*) from matrice_private.word_segments").fetchone() == (1,)
        when_waiting(world, lambda: world.rows(change.format(project)), owner.commit)
    assert world.rows(OF_NOBODY) == []
    chunks = world.value("select count(*) from matrice.source_chunks")
    assert world.value("select coalesce(sum(text_count), 0) from matrice_private.word_segments") == chunks == (8 if "rebuild" in change else 0)


def test_truncate_waits_for_a_writer_of_insights_that_merges_words_of_chunks(world):
    project = world.projects[0]
    unmerged_segments(world, project)
    with session(world, EDITORS[1], autocommit=False) as editor:
        editor.execute("select matrice.record_insight(%s, 'learning', 'Amber', 'It floats.')", [project])
        when_waiting(world, lambda: world.rows("truncate matrice.source_chunks cascade"), editor.commit)
    assert world.rows("select kind, sum(text_count) from matrice_private.word_segments group by 1") == [("insight", 1)]


# Many at once -------------------------------------------------------------------------------------------------------------


class ChunkWriter(Writer):
    def sources(self):
        return [row[0] for row in self.connection.execute("select id from matrice.context_sources order by id").fetchall()]

    def act(self):
        act = self.rng.choices([self.ingest, self.cut, self.add, self.change, self.delete_chunks, self.delete_source, self.insert_many, self.reindex],
                               [20, 20, 25, 20, 10, 3, 5, 3])[0]
        act()

    def ingest(self):
        ingest(self.connection, self.rng, self.rng.choice(self.projects), self.rng.choice([1, 5, 30]))

    def cut(self):
        sources = self.sources()
        if sources:
            self.connection.execute("select matrice.chunk_source(%s, %s, max_tokens => 12, overlap_tokens => 0)",
                                    [self.rng.choice(sources), text(self.rng, self.rng.choice([1, 10, 30]))])

    def add(self):
        sources = self.sources()
        if sources:
            add_chunk(self.connection, self.rng, self.rng.choice(sources))

    def change(self):
        """To one of a few texts, so that versions come again."""
        self.connection.execute(
            "update matrice.source_chunks set content = %s where id = (select id from matrice.source_chunks order by random() limit 1)",
            [self.rng.choice(WORDS[:3])])

    def delete_chunks(self):
        self.connection.execute(
            "delete from matrice.source_chunks where id = (select id from matrice.source_chunks order by random() limit 1)")

    def delete_source(self):
        sources = self.sources()
        if len(sources) > 20:
            self.connection.execute("delete from matrice.context_sources where id = %s", [self.rng.choice(sources)])

    def insert_many(self):
        sources = self.sources()
        if sources:
            source, first = self.rng.choice(sources), self.rng.randrange(1000, 90_000)
            self.connection.execute("insert into matrice.source_chunks (source_id, chunk_index, content) select %s, %s + n, w"
                                    "  from unnest(%s::text[]) with ordinality t (w, n)", [source, first, text(self.rng, 40).split("\n\n")])

    def reindex(self):
        self.connection.execute("select matrice.reindex_text(%s, 20)", [self.rng.choice(self.projects)])

    def act_in_savepoints(self):
        """Some of it is undone, all of it sometimes; and only one thing locks what others may have locked."""
        with self.connection.transaction(force_rollback=self.rng.random() < 0.2):
            self.act()
            source = add_source(self.connection, self.rng.choice(self.projects[:2]))
            for _ in range(3):
                with self.connection.transaction(force_rollback=self.rng.random() < 0.5):
                    add_chunk(self.connection, self.rng, source)
                    if self.rng.random() < 0.5:
                        self.connection.execute("update matrice.source_chunks set content = %s where source_id = %s", [self.rng.choice(WORDS[:3]), source])
                    if self.rng.random() < 0.3:
                        self.connection.execute("delete from matrice.source_chunks where source_id = %s", [source])


def test_search_chunks_with_many_writers_at_once_equals_a_plain_bm25_over_its_snapshot(world):
    """No deadlock, no error but "not found" and, of one snapshot, 40001."""
    projects = list(world.projects)
    with world.connect() as connection:
        projects.append(new_project(connection))
    gone = []
    with session(world, EDITORS[0]) as editor:
        for project in projects:
            ingest(editor, random.Random(str(project)), project, 30)
    crowd, wrong = Crowd(world, SECONDS), []

    def edit(name, number, how, *allowed):
        # Of a chunk that is inserted at an index which is taken, or into a source or a project which has just been deleted.
        crowd.keep_on(f"{name}{number}", EDITORS[number % 3], lambda connection, rng: how(ChunkWriter(connection, projects, rng)),
                      ("PT404", "42501", "23503", "source_chunks_source_id_chunk_index_key", *allowed))

    def own(connection, rng):
        connection.execute("update matrice.projects set settings = settings || %s where id = %s",
                           [json.dumps({"language": rng.choice(LANGUAGES)}), rng.choice(projects[:2])])
        time.sleep(0.05)

    def rebuild(connection, rng):
        # The third project goes and comes.
        connection.execute("delete from matrice.projects where id = %s", [projects[2]])
        gone.append(projects[2])
        with world.connect() as builder:
            projects[2] = new_project(builder)
        ingest(connection, rng, projects[2], 30)
        time.sleep(0.2)

    def read(connection, rng):
        _, differences = compare(connection, rng, projects, world.stems)
        wrong.extend(differences)

    run(*(lambda n=n: edit("editor", n, ChunkWriter.act) for n in range(3)),
        *(lambda n=n: edit("careful", n, ChunkWriter.act_in_savepoints) for n in range(2)),
        lambda: edit("frozen", 0, ChunkWriter.act_in_one_snapshot, "40001"),
        lambda: crowd.keep_on("owner", OWNER, own), lambda: crowd.keep_on("builder", OWNER, rebuild),
        lambda: crowd.keep_on("member", OWNER, read), lambda: crowd.keep_on("service", None, read))
    print(dict(crowd.done))
    assert not wrong, (len(wrong), wrong[:3])
    assert not crowd.errors, crowd.errors
    assert all(crowd.done[name] > 5 for name in ("editor", "careful", "frozen", "owner", "builder", "member", "service")), crowd.done
    assert_right(world, projects)
    # What was skipped, because others held it, is merged when somebody writes again.
    with session(world, EDITORS[0]) as editor:
        for project in projects:
            source = add_source(editor, project)
            for _ in range(2):
                add_chunk(editor, random.Random(), source)
    assert all(row[3] <= 8 for row in world.rows(SIZES)), world.rows(SIZES)
    assert_right(world, projects, "merged")
    while any(session(world).execute("select matrice.reindex_text(%s)", [project]).fetchone()[0] for project in projects):
        pass
    assert_right(world, projects, "analysed again")
    world.psql("select matrice_private.rebuild_word_index()")
    assert_right(world, projects, "built again")
    assert gone and world.rows(OF_NOBODY) == []
