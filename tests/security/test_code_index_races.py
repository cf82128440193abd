"""The index of codes with many writers at the same moment: a search finds the embeddings of its snapshot, whatever others do.

CODES_SOAK_SECONDS says how long everybody works at once (15 seconds unless it is set).
"""

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
from vector_sets import near_one_of_few

SECONDS = float(os.environ.get("CODES_SOAK_SECONDS", "15"))
DIMENSIONS = 24
TABLES = ["code_lists", "code_pages", "code_cells", "code_clusterings", "code_deletions"]
CLUSTER = "select matrice_private.cluster_codes(%s, %s, steps => null, minimum => 300, batch => 512)"
OF_NOBODY = " union all ".join(f"select '{table}', project_id from matrice_private.{table} w"
                               " where not exists (select from matrice.projects p where p.id = w.project_id)" for table in TABLES)
SIZES = """
    select project_id, model, floor(log(8, code_count)), count(*) from matrice_private.code_lists
     where code_count <= 4096 group by 1, 2, 3 order by 4 desc"""
MODEL = "tiny"


def add_chunks(connection, project, count):
    source = connection.execute("insert into matrice.context_sources (project_id, name) values (%s, 'source') returning id", [project]).fetchone()[0]
    return [row[0] for row in connection.execute(
        "insert into matrice.source_chunks (source_id, chunk_index, content) select %s, n, 'text ' || n from generate_series(1, %s) n returning id",
        [source, count]).fetchall()]


def store(connection, rng, chunks):
    connection.execute(
        "insert into matrice.chunk_embeddings (chunk_id, model, embedding) select id, %s, embedding::vector"
        "  from unnest(%s::uuid[], %s::text[]) given (id, embedding) join matrice.source_chunks c using (id) order by id"
        "    on conflict (chunk_id, model) do update set embedding = excluded.embedding",
        [MODEL, chunks, [near_one_of_few(rng, DIMENSIONS) for _ in chunks]])


def fill(connection, rng, project, count):
    chunks = add_chunks(connection, project, count)
    for start in range(0, count, 64):
        store(connection, rng, chunks[start:start + 64])
    return chunks


@pytest.fixture
def world(matrice_database):
    database = matrice_database()
    database.psql(f"alter database {database.name} set search_path = public, extensions; grant usage on schema extensions to authenticated, service_role")
    with database.connect() as connection:
        connection.execute("insert into matrice.embedding_models (model, dimensions) values (%s, %s)", [MODEL, DIMENSIONS])
        database.projects = [new_project(connection), new_project(connection)]
    return database


def compare(connection, rng, project):
    """What differs between searches of a project, or of all, and a plain scan of the same snapshot; and the recall of a search."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        query = near_one_of_few(rng, DIMENSIONS)
        exact = connection.execute(
            "select chunk_id, 1 - (embedding <=> %s::vector) from matrice.chunk_embeddings where project_id = %s and model = %s order by 2 desc, 1",
            [query, project, MODEL]).fetchall()
        search = "select chunk_id, similarity from matrice.match_chunks(%s::vector, %s, %s, model => %s)"
        try:
            everything, some = (connection.execute(search, [query, project, count, MODEL]).fetchall() for count in (10000, 10))
        except psycopg.Error as error:
            if error.sqlstate == "PT404" and not exact:
                return [], None
            raise
    differences = [] if everything == exact else [(project, len(exact), len(everything), set(exact) ^ set(everything))]
    if len(some) != min(10, len(exact)):
        differences.append((project, "rows", len(some), len(exact)))
    return differences, len({row[0] for row in some} & {row[0] for row in exact[:10]}) / len(some) if some else None


def assert_right(database, projects, seed="end"):
    """As a service, and as a member."""
    for user in (None, OWNER):
        with session(database, user) as reader:
            results = [compare(reader, random.Random(f"{seed} {number}"), project) for project in projects for number in range(10)]
        assert not [difference for differences, _ in results for difference in differences]
        recalls = [recall for _, recall in results if recall is not None]
        assert recalls and sum(recalls) / len(recalls) >= 0.99


# Two at the same moment ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["update matrice.chunk_embeddings set embedding = embedding + embedding where project_id = %s", "delete from matrice.chunk_embeddings where project_id = %s",
                                    "delete from matrice.source_chunks where project_id = %s"])
def test_code_index_of_a_project_that_is_deleted_during_a_change_is_empty(world, change):
    project, rng = world.projects[0], random.Random(1)
    editor, owner = session(world, EDITORS[0], autocommit=False), session(world, OWNER)
    fill(editor, rng, project, 100)
    editor.commit()
    editor.execute(change, [project])
    when_waiting(world, lambda: owner.execute("delete from matrice.projects where id = %s", [project]), editor.commit)
    assert world.value("select count(*) from matrice.chunk_embeddings") == 0
    assert world.rows(OF_NOBODY) == []


def test_lists_are_merged_while_a_transaction_that_merged_some_is_open(world):
    """It may stay open for hours. Each search reads all lists, and each insert looks at them."""
    project, rng, other, editor = world.projects[0], random.Random(1), session(world, EDITORS[0], autocommit=False), session(world, EDITORS[1])
    chunks = add_chunks(editor, project, 400)
    for chunk in chunks[:7]:
        store(editor, rng, [chunk])
    store(other, rng, [chunks[7]])
    for chunk in chunks[8:]:
        store(editor, rng, [chunk])
    lists = world.value("select count(*) from matrice_private.code_lists")
    other.rollback()
    assert lists <= 7 + 4 * 8
    assert_right(world, world.projects)


def test_two_transactions_that_store_at_the_same_moment_do_not_wait_for_each_other(world):
    project, rng = world.projects[0], random.Random(1)
    one, two = (session(world, editor, autocommit=False) for editor in EDITORS[:2])
    chunks = add_chunks(one, project, 40)
    one.commit()
    two.execute("set lock_timeout = '2s'")
    for number in range(20):
        store(one, rng, [chunks[number]])
        store(two, rng, [chunks[20 + number]])
    two.commit()
    one.commit()
    assert_right(world, world.projects)


# Many at once -------------------------------------------------------------------------------------------------------------


class EmbeddingWriter(Writer):
    def some_chunks(self, count):
        """By their ids, as every function locks them."""
        return [row[0] for row in self.connection.execute(
            "select id from (select id from matrice.source_chunks where project_id = %s order by random() limit %s) chosen order by id for update skip locked",
            [self.rng.choice(self.projects), count]).fetchall()]

    def act(self):
        self.rng.choices([self.fill, self.store, self.delete_embeddings, self.delete_chunks, self.delete_source], [10, 50, 20, 15, 1])[0]()

    def fill(self):
        with self.connection.transaction():
            store(self.connection, self.rng, add_chunks(self.connection, self.rng.choice(self.projects), self.rng.choice([1, 5, 64])))

    def store(self):
        with self.connection.transaction():
            store(self.connection, self.rng, self.some_chunks(self.rng.choice([1, 1, 8, 64])))

    def delete_embeddings(self):
        with self.connection.transaction():
            self.connection.execute("delete from matrice.chunk_embeddings where chunk_id = any (%s)", [self.some_chunks(self.rng.choice([1, 8]))])

    def delete_chunks(self):
        with self.connection.transaction():
            self.connection.execute("delete from matrice.source_chunks where id = any (%s)", [self.some_chunks(self.rng.choice([1, 8]))])

    def delete_source(self):
        self.connection.execute("delete from matrice.context_sources where id = (select id from matrice.context_sources order by random() limit 1)")

    def act_in_savepoints(self):
        """Some of it is undone, all of it sometimes."""
        with self.connection.transaction(force_rollback=self.rng.random() < 0.2):
            chunks = add_chunks(self.connection, self.rng.choice(self.projects[:2]), 8)
            for chunk in chunks:
                with self.connection.transaction(force_rollback=self.rng.random() < 0.5):
                    store(self.connection, self.rng, [chunk])
                    if self.rng.random() < 0.3:
                        store(self.connection, self.rng, [chunk])
                    if self.rng.random() < 0.3:
                        self.connection.execute("delete from matrice.chunk_embeddings where chunk_id = %s", [chunk])


def test_match_chunks_with_many_writers_at_once_finds_the_embeddings_of_its_snapshot(world):
    """No deadlock, no error but "not found" and, of one snapshot, 40001."""
    projects = list(world.projects)
    with world.connect() as connection:
        projects.append(new_project(connection))
    with session(world, EDITORS[0]) as editor:
        for project in projects:
            fill(editor, random.Random(str(project)), project, 600)
    # The codes of the first project are in cells, and go on moving there.
    world.rows(CLUSTER, [projects[0], MODEL])
    assert world.value("select sum(code_count) > 300 from matrice_private.code_cells")
    crowd, wrong, recalls = Crowd(world, SECONDS), [], []

    def edit(name, number, how, *allowed):
        # Of a chunk, a source or a project that has just been deleted.
        crowd.keep_on(f"{name}{number}", EDITORS[number % 3], lambda connection, rng: how(EmbeddingWriter(connection, projects, rng)),
                      ("PT404", "42501", "23503", *allowed))

    def replace(connection, rng):
        # The third project goes and comes.
        connection.execute("delete from matrice.projects where id = %s", [projects[2]])
        with world.connect() as builder:
            projects[2] = new_project(builder)
        # In one transaction: nobody else stores embeddings of these chunks meanwhile.
        with connection.transaction():
            fill(connection, rng, projects[2], 100)
        time.sleep(0.2)

    def read(connection, rng):
        differences, recall = compare(connection, rng, rng.choice(projects))
        wrong.extend(differences)
        recalls.append(recall)

    run(*(lambda n=n: edit("editor", n, EmbeddingWriter.act) for n in range(3)),
        *(lambda n=n: edit("careful", n, EmbeddingWriter.act_in_savepoints) for n in range(2)),
        lambda: edit("frozen", 0, EmbeddingWriter.act_in_one_snapshot, "40001"),
        lambda: crowd.keep_on("owner", OWNER, replace),
        lambda: crowd.keep_on("member", OWNER, read), lambda: crowd.keep_on("service", None, read))
    print(dict(crowd.done))
    assert not wrong, (len(wrong), wrong[:3])
    assert not crowd.errors, crowd.errors
    assert all(crowd.done[name] > 5 for name in ("editor", "careful", "frozen", "owner", "member", "service")), crowd.done
    found = [recall for recall in recalls if recall is not None]
    assert sum(found) / len(found) >= 0.99
    assert all(row[2] == 0 for row in world.rows("select project, model, without_code from matrice_private.verify_codes()"))
    assert_right(world, projects)
    # What was skipped, because others held it, is merged when somebody writes again.
    with session(world, EDITORS[0]) as editor:
        for project in projects:
            for chunk in add_chunks(editor, project, 4):
                store(editor, random.Random(1), [chunk])
    assert all(row[3] <= 8 for row in world.rows(SIZES)), world.rows(SIZES)
    # At most a fifth of the codes are superfluous, beyond a few.
    assert all(codes <= 1.25 * embeddings + 64 + 100 for embeddings, codes in world.rows("select embeddings, codes from matrice_private.verify_codes()"))
    assert_right(world, projects, "merged")
    world.psql("select matrice_private.rebuild_code_index()")
    assert_right(world, projects, "built again")
    assert world.rows(OF_NOBODY) == []
