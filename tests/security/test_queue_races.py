"""The queue of embeddings with many workers, editors, changes of language and deletions at the same moment.

QUEUE_SOAK_SECONDS says how long everybody works at once (15 seconds unless it is set).
"""

import json
import os
import random
import threading
import time

import psycopg
import pytest

from crowds import (
    BATCH,
    EDITORS,
    OWNER,
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

SECONDS = float(os.environ.get("QUEUE_SOAK_SECONDS", "15"))
WORKERS = 8
WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet"]
CLAIMABLE = """
    select count(*) from matrice.source_chunks c
     where not exists (select from matrice.chunk_embeddings e where e.chunk_id = c.id and e.model = 'tiny')
       and not exists (select from matrice.embedding_leases l where l.chunk_id = c.id and l.model = 'tiny' and l.leased_until > now())"""


def text(chunks, rng=random):
    """Lines of which one or two are a chunk, many of them in other texts, too."""
    return "\n\n".join(" ".join(rng.choices(WORDS, k=3)) for _ in range(chunks))


def ingest(connection, project, chunks):
    return connection.execute("select matrice.ingest_source(%s, 'text', %s, max_tokens => 8, overlap_tokens => 0)",
                              [project, text(chunks)]).fetchone()[0]


def cut(connection, source, chunks):
    connection.execute("select matrice.chunk_source(%s, %s, max_tokens => 8, overlap_tokens => 0)", [source, text(chunks)])


def wrong_vectors(database):
    """The chunks whose embedding is not the one of their text, or is missing."""
    with database.connect() as connection:
        rows = connection.execute(
            "select c.content, (select json_agg(e.embedding::text) from matrice.chunk_embeddings e where e.chunk_id = c.id)"
            "  from matrice.source_chunks c").fetchall()
    assert rows
    return [row for row in rows if row[1] is None or [json.loads(vector) for vector in row[1]] != [vector_of(row[0])]]


def wrong_counts(database):
    """Sources whose columns are not what a count of their rows gives."""
    return database.rows("""
        select s.id, s.status, s.chunk_count, s.embedded_count, s.failed_count, n.*
          from matrice.context_sources s
         cross join lateral (
           select count(*) as chunks,
                  count(*) filter (where exists (select from matrice.chunk_embeddings e
                                                  where e.chunk_id = c.id and e.model = 'tiny')) as embedded
             from matrice.source_chunks c where c.source_id = s.id) n
         where (s.status, s.chunk_count, s.embedded_count, s.failed_count) is distinct from ('ready', n.chunks, n.embedded, 0)""")


def texts_out_of_step(database):
    """The sources whose chunks do not come from the text that is their current one, or that have texts which nobody may keep."""
    return database.rows(
        "select s.id from matrice.context_sources s join matrice.projects p on p.id = s.project_id"
        "  join matrice.source_texts t on t.source_id = s.id and t.version = matrice_private.current_version(s.id)"
        " where not matrice_private.keeps_texts(p.settings)"
        "    or (select count(*) from matrice.source_texts o where o.source_id = s.id) > matrice_private.kept_versions(p.settings)"
        "    or exists (select from matrice.source_chunks c where c.source_id = s.id"
        "                  and rtrim(c.content, '!') <> rtrim(substr(t.content, c.start_char + 1, c.end_char - c.start_char), '!'))")


@pytest.fixture
def world(matrice_database):
    database = matrice_database()
    with database.connect() as connection:
        connection.execute("insert into matrice.embedding_models (model, dimensions) values ('tiny', 3)")
        database.project = new_project(connection)
    return database


# Two at the same moment ---------------------------------------------------------------------------------------------------


def chunks_of(database, source):
    return database.rows("select id, content from matrice.source_chunks where source_id = %s order by chunk_index", [source])


def test_store_embeddings_stores_the_rest_when_chunk_source_deletes_a_chunk_meanwhile(world):
    editor, worker = session(world, EDITORS[0]), session(world)
    source = editor.execute("select matrice.ingest_source(%s, 's', E'one\\n\\ntwo\\n\\nthree', max_tokens => 2, overlap_tokens => 0)", [world.project]).fetchone()[0]
    claimed = claim(worker)
    assert [row[1] for row in claimed] == ["one", "two", "three"]
    editor.autocommit = False
    editor.execute("select matrice.chunk_source(%s, E'one\\n\\nthree\\n\\nfour', max_tokens => 2, overlap_tokens => 0)", [source])
    stored = []
    when_waiting(world, lambda: stored.append(store(worker, claimed)), editor.commit)
    assert stored == [2]
    drain(worker)
    assert wrong_vectors(world) == []


def test_store_embeddings_stores_no_vector_of_a_text_that_changes_meanwhile(world):
    editor, worker = session(world, EDITORS[0]), session(world)
    ingest(editor, world.project, 1)
    # First the editor, then the worker.
    claimed = claim(worker)
    editor.autocommit = False
    editor.execute("update matrice.source_chunks set content = 'changed once'")
    stored = []
    when_waiting(world, lambda: stored.append(store(worker, claimed)), editor.commit)
    assert stored == [0]
    # First the worker, then the editor.
    claimed = claim(worker)
    assert [row[1] for row in claimed] == ["changed once"]
    worker.autocommit, editor.autocommit = False, True
    assert store(worker, claimed) == 1
    when_waiting(world, lambda: editor.execute("update matrice.source_chunks set content = 'changed twice'"), worker.commit)
    assert world.value(CLAIMABLE) == 1
    worker.autocommit = True
    drain(worker)
    assert wrong_vectors(world) == []


def claimed_meanwhile(database, worker, then):
    """What a worker claims when something else ends the locks that it waits for."""
    claimed = []
    when_waiting(database, lambda: claimed.extend(claim(worker)), then)
    assert claimed
    # A claim that was reading the chunks at that moment has got some of them.
    return claimed + claim(worker)


@pytest.mark.parametrize("is_stored", [True, False])
def test_store_embeddings_waits_for_nobody_who_stores_an_equal_text(world, is_stored):
    with session(world, EDITORS[0]) as editor, session(world, EDITORS[1], autocommit=False) as other:
        editor.execute("select matrice.ingest_chunks(%s, 'text', '[{\"content\": \"same\"}, {\"content\": \"same\"}]')", [world.project])
        first, second = [row[0] for row in editor.execute("select id from matrice.source_chunks order by chunk_index").fetchall()]
        other.execute("insert into matrice.chunk_embeddings (chunk_id, model, embedding) values (%s, 'tiny', '[9,9,9]')", [second])
        editor.execute("set lock_timeout = '1s'")
        assert store(editor, [(first, "same", None)], with_lease=False) == 1
        assert editor.execute("show lock_timeout").fetchone()[0] == "1s"
        (other.commit if is_stored else other.rollback)()
        assert world.value("select count(*) from matrice.chunk_embeddings") == 2 if is_stored else 1
        drain(editor)
    assert world.value("select count(*) from matrice.chunk_embeddings") == 2


def test_two_who_store_equal_texts_at_the_same_time_do_not_deadlock(world):
    with session(world, EDITORS[0]) as editor:
        for _ in range(30):
            editor.execute("select matrice.ingest_chunks(%s, 'text', %s)", [world.project, json.dumps([{"content": word} for word in WORDS])])
    chunks = world.rows("select id, content, null from matrice.source_chunks")

    def work(number):
        rng = random.Random(number)
        with session(world, EDITORS[number % 3]) as worker:
            for _ in range(10):
                # Without leases, so that everybody may store everything.
                assert store(worker, rng.sample(chunks, 40), with_lease=False) == 40
                for row in rng.sample(chunks, 5):
                    worker.execute("delete from matrice.chunk_embeddings where chunk_id = %s", [row[0]])

    try:
        run(*(lambda n=n: work(n) for n in range(4)))
    except psycopg.errors.DeadlockDetected as error:
        pytest.fail(str(error))
    with session(world) as worker:
        drain(worker)
    assert wrong_vectors(world) == []


def test_claim_chunks_returns_an_empty_batch_only_when_nothing_is_waiting(world):
    editor, first, second = session(world, EDITORS[0]), session(world, autocommit=False), session(world)
    ingest(editor, world.project, 5)
    total = world.value(CLAIMABLE)
    # Who rolls back, gives back.
    assert len(claim(first)) == total
    claimed = claimed_meanwhile(world, second, first.rollback)
    assert len(claimed) == total
    store(second, claimed, with_lease=False)
    # What is being cut is not there yet; it is when that has ended.
    editor.autocommit = False
    editor.execute("update matrice.source_chunks set content = content || '!'")
    editor.execute("delete from matrice.chunk_embeddings")
    editor.commit()
    editor.execute("update matrice.source_chunks set metadata = '{}'")
    assert len(claimed_meanwhile(world, second, editor.commit)) == total
    # And who commits, has them.
    world.rows("delete from matrice.embedding_leases")
    assert len(claim(first)) == total
    claimed = []
    when_waiting(world, lambda: claimed.extend(claim(second)), first.commit)
    assert claimed == []


def test_claim_chunks_does_not_wait_for_ever(world):
    editor, first, second = session(world, EDITORS[0]), session(world, autocommit=False), session(world)
    ingest(editor, world.project, 5)
    assert claim(first)
    second.execute("set statement_timeout = '60s'")
    assert claim(second) == []


def test_claim_chunks_passes_over_a_chunk_whose_holder_has_locked_its_ended_lease(world):
    """Else it would try the chunk again and again, while the holder waits for a lease that the claim has just taken."""
    editor, holder, worker = session(world, EDITORS[0]), session(world, autocommit=False), session(world)
    ingest(editor, world.project, 3)
    claimed = claim(worker, lease_seconds=1)
    time.sleep(1.1)
    holder.execute("select from matrice.embedding_leases where chunk_id = %s for update", [claimed[0][0]])
    worker.execute("set statement_timeout = '60s'")
    again = claim(worker, len(claimed))
    assert {row[0] for row in again} == {row[0] for row in claimed[1:]}
    holder.rollback()
    assert [row[0] for row in claim(worker)] == [claimed[0][0]]


@pytest.mark.parametrize("isolation", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE], ids=lambda level: level.name)
def test_claim_chunks_with_one_snapshot_returns_a_full_batch_or_a_serialization_failure(world, isolation):
    editor, first, second = session(world, EDITORS[0]), session(world, autocommit=False), session(world)
    ingest(editor, world.project, 4 * BATCH)
    total = world.value(CLAIMABLE)
    assert total >= 2 * BATCH
    first.isolation_level = isolation
    first.execute("select 1 from matrice.projects").fetchall()
    assert len(claim(second)) == BATCH
    with pytest.raises(psycopg.errors.SerializationFailure):
        claim(first)
    first.rollback()
    assert len(claim(first)) == BATCH
    first.commit()
    assert world.value(CLAIMABLE) == total - 2 * BATCH


def test_chunk_source_of_a_source_that_is_deleted_meanwhile_is_not_found(world):
    one, two = session(world, EDITORS[0]), session(world, EDITORS[1], autocommit=False)
    source = ingest(one, world.project, 3)
    two.execute("delete from matrice.context_sources where id = %s", [source])
    refused = []

    def cut_it():
        try:
            cut(one, source, 3)
        except psycopg.Error as error:
            refused.append(error.sqlstate)

    when_waiting(world, cut_it, two.commit)
    assert refused == ["PT404"]


def test_ingest_source_and_members_of_a_project_that_is_deleted_meanwhile_are_not_found(world):
    owner = session(world, OWNER, autocommit=False)
    for call in ("select matrice.ingest_source(%s, 's', 'text')", "select matrice.remove_member(%s, '{0}')", "select matrice.set_member_role(%s, '{0}', 'viewer')"):
        with world.connect() as connection:
            project = new_project(connection)
        owner.execute("delete from matrice.projects where id = %s", [project])
        refused = []

        def call_it(call=call, project=project, refused=refused):
            try:
                session(world, OWNER).execute(call.format(EDITORS[0]), [project])
            except psycopg.Error as error:
                refused.append(error.sqlstate)

        when_waiting(world, call_it, owner.commit)
        assert refused == ["PT404"], call


def test_chunks_that_are_added_while_a_model_is_claimed_for_the_first_time_are_found(world):
    """Neither sees the other: the claim lists the parts of the project, and the editor adds some."""
    editor, first, second = session(world, EDITORS[0], autocommit=False), session(world, autocommit=False), session(world)
    with world.connect() as owner:
        ingest(owner, world.project, 5)
    first_total = world.value(CLAIMABLE)
    ingest(editor, world.project, 7)
    assert len(claim(first)) == first_total
    editor.commit()
    added = world.value(CLAIMABLE) - first_total
    # The parts are not listed yet for anybody else.
    assert len(claim(second)) == added > 0
    ingest(editor, world.project, 9)
    first.commit()
    editor.commit()
    left = world.value(CLAIMABLE)
    assert len(claim(second)) == left > 0
    assert claim(second) == []


def test_a_part_that_is_done_is_found_again_whatever_was_added_to_it_meanwhile(world):
    editor, worker = session(world, EDITORS[0], autocommit=False), session(world)
    with world.connect() as owner:
        source = ingest(owner, world.project, 20)
    add = "insert into matrice.source_chunks (source_id, chunk_index, content) values (%s, %s, %s)"
    # Before the part is done, and committed after it.
    claimed = claim(worker, 100)
    editor.execute(add, [source, 90, "added before"])
    store(worker, claimed)
    assert claim(worker) == []
    editor.commit()
    claimed = claim(worker)
    assert [row[1] for row in claimed] == ["added before"]
    # While the last claim of the part settles it, in a transaction that ends later.
    worker.autocommit = False
    store(worker, claimed)
    editor.execute(add, [source, 91, "added meanwhile"])
    editor.commit()
    worker.commit()
    claimed = claim(worker)
    worker.commit()
    assert [row[1] for row in claimed] == ["added meanwhile"]
    # An embedding that is lost while the part is settled.
    editor.execute("delete from matrice.chunk_embeddings e using matrice.source_chunks c where c.id = e.chunk_id and c.content = 'added before'")
    store(worker, claimed)
    worker.commit()
    editor.commit()
    claimed = claim(worker)
    worker.commit()
    assert [row[1] for row in claimed] == ["added before"]
    # And one that is not lost after all.
    store(worker, claimed)
    editor.execute("delete from matrice.chunk_embeddings")
    worker.commit()
    editor.rollback()
    assert claim(worker) == []


def test_leases_that_end_while_their_part_is_settled_are_found(world):
    editor, worker, other = session(world, EDITORS[0]), session(world), session(world, autocommit=False)
    ingest(editor, world.project, 10)
    claimed = claim(worker, 100)
    # The other session fails some chunks; meanwhile a claim looks through the part, and finds all leased until later.
    other.execute("select matrice.fail_chunks('tiny', %s, 'x', %s)", [[row[0] for row in claimed[:3]], claimed[0][2]])
    assert claim(worker) == []
    other.commit()
    assert {row[0] for row in claim(worker)} == {row[0] for row in claimed[:3]}


# Many at once -------------------------------------------------------------------------------------------------------------


def test_claim_chunks_gives_eight_workers_full_batches_until_nothing_is_waiting(world):
    with world.connect() as connection:
        projects = [world.project, new_project(connection), new_project(connection)]
    editor = session(world, EDITORS[0])
    for n in range(45):
        # Each text is another: equal ones would share their embeddings.
        editor.execute("select matrice.ingest_chunks(%s, 'text', %s)", [projects[n % 3], json.dumps([{"content": f"{n} and {k}"} for k in range(80)])])
    total = world.value("select count(*) from matrice.source_chunks")
    given, short, empty, start = [], [], [], threading.Barrier(WORKERS)

    def work(number):
        with session(world, EDITORS[number % 3] if number % 2 else None) as worker, world.connect() as watcher:
            start.wait()
            while True:
                claimed = claim(worker)
                # Nothing is given back here, so that there can only be less by now.
                left = watcher.execute(CLAIMABLE).fetchone()[0]
                given.extend(row[0] for row in claimed)
                if not claimed:
                    empty.append(left)
                    return
                if len(claimed) < BATCH:
                    short.append(left)
                assert store(worker, claimed) == len(claimed)

    run(*(lambda n=n: work(n) for n in range(WORKERS)))
    assert len(given) == len(set(given)) == total, "each chunk is given out once"
    assert empty == [0] * WORKERS, "an empty batch while there is work"
    # What the others are just taking is not there for the taking.
    assert all(left <= WORKERS * BATCH for left in short), "a batch that is not full while there is work"
    assert wrong_vectors(world) == []


def test_queue_with_workers_editors_languages_and_deletions_at_once_has_no_wrong_vector(world):
    """No deadlock, no lost batch, no error but "not found", and at the end each chunk has the vector of its text."""
    with world.connect() as connection:
        projects = [world.project, *(new_project(connection) for _ in range(2))]
    with session(world, EDITORS[0]) as editor:
        for project in projects:
            for _ in range(3):
                ingest(editor, project, 30)
    crowd = Crowd(world, SECONDS)

    def work(number):
        # Without lease_id a worker is known by its user alone, and so its leases do not end before it answers.
        with_lease = number % 4 < 2

        def act(connection, rng):
            claimed = claim(connection, rng.choice((1, BATCH, 64)), 1 if with_lease else 300)
            crowd.done["batches"] += 1
            if not claimed:
                time.sleep(0.01)
                return
            if with_lease and rng.random() < 0.05:
                time.sleep(1.2)
            if rng.random() < 0.1:
                connection.execute("select matrice.fail_chunks('tiny', %s, 'by chance', %s)",
                                   [[row[0] for row in claimed], claimed[0][2] if with_lease else None])
            else:
                crowd.done["stored"] += store(connection, claimed, with_lease)

        crowd.keep_on(f"worker{number}", EDITORS[number % 3] if number % 2 else None, act)

    def edit(number):
        def act(connection, rng):
            sources = [row[0] for row in connection.execute("select id from matrice.context_sources order by id").fetchall()]
            what = rng.random()
            if what < 0.15 or not sources:
                ingest(connection, rng.choice(projects), 30)
            elif what < 0.25 and len(sources) > 12:
                connection.execute("delete from matrice.context_sources where id = %s", [rng.choice(sources)])
            elif what < 0.4:
                connection.execute("update matrice.source_chunks set content = content || '!' where id = (select id from matrice.source_chunks order by random() limit 1)")
            elif what < 0.55:
                connection.execute("select matrice.restore_source(%s, %s)", [rng.choice(sources), rng.randint(1, 3)])
            elif what < 0.6:
                connection.execute("select matrice.rechunk(%s, max_tokens => %s, overlap_tokens => 0)", [rng.choice(projects), rng.randint(6, 9)])
            elif what < 0.65:
                connection.execute("select matrice.replace_chunks(%s, %s)", [rng.choice(sources), json.dumps([{"content": line} for line in text(30).split("\n\n")])])
            elif what < 0.7:
                connection.execute("update matrice.context_sources set raw_metadata = %s where id = %s", [json.dumps({"n": rng.random()}), rng.choice(sources)])
            else:
                cut(connection, rng.choice(sources), 30)

        crowd.keep_on(f"editor{number}", EDITORS[number], act)

    def own(connection, rng):
        project = rng.choice(projects[:2])
        connection.execute("update matrice.projects set settings = settings || %s where id = %s",
                           [json.dumps({"language": rng.choice(["english", "french", "simple"]), "keep_source_texts": rng.random() < 0.8,
                                        "keep_source_versions": rng.randint(1, 5)}), project])
        connection.execute("select matrice.set_member_role(%s, %s, 'editor')", [project, rng.choice(EDITORS)])
        time.sleep(0.05)

    def rebuild(connection, rng):
        # The third project goes and comes.
        connection.execute("delete from matrice.projects where id = %s", [projects[2]])
        with world.connect() as builder:
            projects[2] = new_project(builder)
        for _ in range(3):
            ingest(connection, projects[2], 30)
        time.sleep(0.1)

    def change_members(connection, rng):
        project = projects[2]
        connection.execute("select matrice.set_member_role(%s, %s, %s)", [project, EDITORS[2], rng.choice(["editor", "owner"])])
        time.sleep(0.01)

    run(*(lambda n=n: work(n) for n in range(WORKERS)), *(lambda n=n: edit(n) for n in range(3)),
        lambda: crowd.keep_on("owner", OWNER, own), lambda: crowd.keep_on("builder", OWNER, rebuild), lambda: crowd.keep_on("members", OWNER, change_members))
    print(dict(crowd.done))
    assert not crowd.errors, crowd.errors
    assert texts_out_of_step(world) == []
    # Everybody came to something.
    assert all(crowd.done[name] > 5 for name in ("batches", "stored", "editor", "owner", "builder", "members")), crowd.done
    world.rows("delete from matrice.embedding_leases")
    with session(world) as worker:
        drain(worker)
    assert wrong_vectors(world) == []
    assert world.value("select count(*) from matrice.embedding_leases") == 0
    assert wrong_counts(world) == []
    assert world.value("select count(*) from matrice_private.source_counts") == 0
