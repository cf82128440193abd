"""Insights in the queue of embeddings, with many workers and writers at the same moment."""

import json
import threading
import time
from collections import Counter

import psycopg
import pytest

from crowds import (
    EDITORS,
    Crowd,
    claim,
    drain,
    new_project,
    run,
    session,
    store,
    vector_of,
    when_waiting,
)

WORKERS = 8


def tell(connection, project, how_many, word="insight"):
    connection.execute(
        "insert into matrice.insights (project_id, type, title, content)"
        " select %s, 'pattern', %s || n, 'What ' || n || ' says.' from generate_series(1, %s) n", [project, word, how_many])


def wrong_vectors(database):
    """The insights that hold and whose embedding is not the one of their text, or is missing."""
    with database.connect() as connection:
        rows = connection.execute(
            "select i.title || E'\\n' || i.content, (select e.embedding::text from matrice.insight_embeddings e where e.insight_id = i.id)"
            "  from matrice.insights i where i.superseded_at is null and i.retracted_at is null").fetchall()
    assert rows
    return [row for row in rows if row[1] is None or json.loads(row[1]) != vector_of(row[0])]


def end_leases(database):
    with database.connect() as connection:
        connection.execute("update matrice_private.insight_leases set leased_until = now() where ctid = any (array("
                           "select ctid from matrice_private.insight_leases where not is_failed for update skip locked))")


@pytest.fixture
def world(matrice_database):
    database = matrice_database()
    with database.connect() as connection:
        connection.execute("insert into matrice.embedding_models (model, dimensions) values ('tiny', 3)")
        database.project = new_project(connection)
    return database


@pytest.mark.parametrize("is_first_claim", [True, False])
@pytest.mark.parametrize("user", [None, EDITORS[0]])
def test_eight_workers_at_once_each_get_insights_and_none_twice(world, user, is_first_claim):
    workers = [session(world, user) for _ in range(WORKERS)]
    if not is_first_claim:
        claim(workers[0], project=world.project)
    tell(session(world), world.project, 400)
    got, start = [[] for _ in workers], threading.Barrier(WORKERS)

    def work(number):
        start.wait()
        while claimed := claim(workers[number]):
            got[number].append([row[0] for row in claimed])
            assert store(workers[number], claimed) == len(claimed)

    run(*(lambda n=n: work(n) for n in range(WORKERS)))
    ids = Counter(one for batches in got for batch in batches for one in batch)
    assert len(ids) == 400 and set(ids.values()) == {1}
    assert all(got), [len(batches) for batches in got]
    assert wrong_vectors(world) == []
    assert world.rows("select * from matrice_private.insight_leases") == []
    assert world.rows("select * from matrice_private.waiting_insights") == []


def test_claims_that_overlap_each_get_a_full_batch(world):
    # Nobody commits before all have claimed.
    claim(session(world), project=world.project)
    tell(session(world), world.project, WORKERS * 10)
    workers = [session(world, autocommit=False) for _ in range(WORKERS)]
    batches = [claim(worker, 10) for worker in workers]
    assert [len(batch) for batch in batches] == [10] * WORKERS
    assert len({row[0] for batch in batches for row in batch}) == WORKERS * 10


def test_a_claim_that_is_rolled_back_or_killed_loses_no_insight(world):
    claim(session(world), project=world.project)
    tell(session(world), world.project, 30)
    with session(world, autocommit=False) as worker:
        assert len(claim(worker, 20)) == 20
        worker.rollback()
    killed = session(world, autocommit=False)
    assert len(claim(killed, 20)) == 20
    with world.connect() as owner:
        owner.execute("select pg_terminate_backend(%s)", [killed.info.backend_pid])
    with pytest.raises(psycopg.OperationalError):
        killed.execute("select 1")
    worker = session(world)
    for _ in range(100):
        if len(claimed := claim(worker, 100)) == 30:
            break
        assert claimed == []
        time.sleep(0.05)
    assert store(worker, claimed) == 30
    assert wrong_vectors(world) == []


def test_store_embeddings_stores_no_vector_of_a_text_that_changes_meanwhile(world):
    editor, worker = session(world, EDITORS[0]), session(world)
    tell(editor, world.project, 2)
    # First the editor, then the worker, who does not wait.
    claimed = claim(worker)
    assert len(claimed) == 2
    editor.autocommit = False
    editor.execute("update matrice.insights set content = 'Changed once.' where title = 'insight1'")
    assert store(worker, claimed) == 1
    editor.commit()
    editor.autocommit = True
    end_leases(world)
    # First the worker, then the editor.
    claimed = claim(worker)
    assert [row[1] for row in claimed] == ["insight1\nChanged once."]
    worker.autocommit = False
    assert store(worker, claimed) == 1
    when_waiting(world, lambda: editor.execute("update matrice.insights set content = 'Changed twice.' where title = 'insight1'"), worker.commit)
    worker.autocommit = True
    assert [row[1] for row in claim(worker)] == ["insight1\nChanged twice."]


def test_an_insight_that_is_told_while_a_model_is_claimed_for_the_first_time_is_found(world):
    editor, worker = session(world, EDITORS[0], autocommit=False), session(world, autocommit=False)
    tell(session(world), world.project, 1, "seen")
    tell(editor, world.project, 1, "unseen")
    assert [row[1].split("\n")[0] for row in claim(worker)] == ["seen1"]
    editor.commit()
    assert claim(session(world)) == []
    worker.commit()
    assert [row[1].split("\n")[0] for row in claim(session(world))] == ["unseen1"]


def test_the_queue_of_insights_with_workers_and_writers_at_once_has_no_wrong_vector(world):
    crowd = Crowd(world, 10)
    tell(session(world), world.project, 50)

    def work(connection, rng):
        claimed = claim(connection, rng.randint(1, 20))
        if not claimed:
            return
        if rng.random() < 0.1:
            connection.execute("select matrice.fail_chunks('tiny', %s, 'busy', %s)", [[row[0] for row in claimed], claimed[0][2]])
        elif rng.random() < 0.9:
            store(connection, claimed)

    def write(connection, rng):
        one = connection.execute("select id from matrice.insights order by md5(id::text || %s) limit 1", [str(rng.random())]).fetchone()
        what = rng.random()
        if one is None or what < 0.4:
            tell(connection, world.project, rng.randint(1, 5), f"word{rng.randint(0, 9)}")
        elif what < 0.7:
            connection.execute("update matrice.insights set content = %s where id = %s", [f"Changed to {rng.random()}.", one[0]])
        elif what < 0.8:
            connection.execute("select matrice.retract_insight(%s, 'wrong')", one)
        elif what < 0.9:
            connection.execute("update matrice.insights set retracted_at = null where id = %s", one)
        else:
            connection.execute("delete from matrice.insights where id = %s", one)

    def expire(connection, rng):
        time.sleep(0.2)
        end_leases(world)

    run(*(lambda n=n: crowd.keep_on(f"worker{n}", None if n % 2 else EDITORS[0], work) for n in range(WORKERS)),
        *(lambda n=n: crowd.keep_on(f"writer{n}", EDITORS[n], write) for n in range(3)),
        lambda: crowd.keep_on("expirer", None, expire))
    assert not crowd.errors, crowd.errors
    assert crowd.done["worker"] > 50 and crowd.done["writer"] > 50, crowd.done
    with world.connect() as owner:
        owner.execute("select matrice.retry_failed(%s)", [world.project])
    end_leases(world)
    drain(session(world))
    assert wrong_vectors(world) == []
