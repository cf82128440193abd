"""Switches to another embedding model while sources are ingested, searched and embedded by several workers.

QUEUE_SOAK_SECONDS says how long everybody works at once (15 seconds unless it is set).
"""

import hashlib
import json
import os
import time

import pytest

from crowds import EDITORS, OWNER, Crowd, new_project, run, session, when_waiting

SECONDS = float(os.environ.get("QUEUE_SOAK_SECONDS", "15"))
MODELS = {"tiny": 3, "wide": 5}
ANCHORS = 30
WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet"]
# Reads the model and searches with one snapshot, as one statement does.
FOUND = """
    select count(*) from matrice.projects p
     cross join lateral matrice.match_chunks(
       (case p.settings ->> 'embedding_model' when 'tiny' then '[1,1,1]' else '[1,1,1,1,1]' end)::extensions.vector, p.id, 100,
       filter => '{"anchor": true}')
     where p.id = %s"""
WRONG = """
    select e.model, c.content, e.embedding::text from matrice.chunk_embeddings e join matrice.source_chunks c on c.id = e.chunk_id"""
MISSING = """
    select count(*) from matrice.source_chunks c join matrice.projects p on p.id = c.project_id
     where not exists (select from matrice.chunk_embeddings e where e.chunk_id = c.id and e.model = p.settings ->> 'embedding_model')"""


def vector_of(text, model):
    """A vector that tells which text and model it is of, in numbers that a float holds exactly."""
    digest = hashlib.sha256(f"{model} {text}".encode()).digest()
    return [1 + int.from_bytes(digest[2 * n:2 * n + 2], "big") for n in range(MODELS[model])]


def work(connection, project=None, batch=16):
    """Embeds a batch, whatever model it is of. Returns whether there was one."""
    claimed = connection.execute("select chunk_id, content, lease_id, model from matrice.claim_chunks(batch_size => %s, project_id => %s)",
                                 [batch, project]).fetchall()
    if claimed:
        model = claimed[0][3]
        assert {row[3] for row in claimed} == {model}
        connection.execute("select matrice.store_embeddings(%s, %s, %s, %s)", [
            model, [row[0] for row in claimed], json.dumps([vector_of(row[1], model) for row in claimed]), claimed[0][2]])
    return bool(claimed)


def drain(connection, project):
    while work(connection, project, 500):
        pass


def ingest(connection, project, rng, name="s", metadata="{}"):
    text = "\n\n".join(" ".join(rng.choices(WORDS, k=3)) for _ in range(rng.randint(1, 40)))
    return connection.execute("select matrice.ingest_source(%s, %s, %s, max_tokens => 8, overlap_tokens => 0, metadata => %s)",
                              [project, name, text, metadata]).fetchone()[0]


def settings(connection, project):
    return connection.execute("select settings ->> 'embedding_model', settings ->> 'next_embedding_model' from matrice.projects where id = %s",
                              [project]).fetchone()


def switch(connection, project, model):
    return connection.execute("select matrice.switch_embedding_model(%s, %s)", [project, model]).fetchone()[0]


def wrong_vectors(database):
    return [row for row in database.rows(WRONG) if json.loads(row[2]) != vector_of(row[1], row[0])]


@pytest.fixture
def world(matrice_database):
    """A project with anchors: chunks that nobody touches, embedded by its model. Each change of its model is recorded."""
    database = matrice_database()
    with database.connect() as connection:
        for model, dimensions in MODELS.items():
            connection.execute("select matrice.register_model(%s, %s)", [model, dimensions])
        database.project = new_project(connection)
        connection.execute("""
            grant usage on schema extensions to public;
            create table flips (number bigint generated always as identity, before text, after text);
            create function note_flip() returns trigger language plpgsql security definer as $$
            begin
              insert into public.flips (before, after) values (old.settings ->> 'embedding_model', new.settings ->> 'embedding_model');
              return null;
            end $$;
            create trigger note_flip after update on matrice.projects for each row
              when (old.settings ->> 'embedding_model' is distinct from new.settings ->> 'embedding_model') execute function note_flip();""")
        connection.execute("select matrice.ingest_source(%s, 'anchors', %s, max_tokens => 4, overlap_tokens => 0, metadata => '{\"anchor\": true}')",
                           [database.project, "\n\n".join(f"anchor {n}" for n in range(ANCHORS))])
        drain(connection, database.project)
        assert connection.execute(FOUND, [database.project]).fetchone()[0] == ANCHORS
    return database


def test_a_claim_ends_no_switch_while_the_project_is_locked_and_does_not_wait(world):
    owner, worker = session(world, OWNER), session(world)
    assert switch(owner, world.project, "wide") is False
    assert work(worker, world.project, 500)
    owner.autocommit = False
    owner.execute("update matrice.projects set description = 'Locked'")
    worker.execute("set lock_timeout = '2s'")
    assert not work(worker, world.project)
    assert settings(worker, world.project) == ("tiny", "wide")
    owner.commit()
    assert not work(worker, world.project)
    assert settings(worker, world.project) == ("wide", None)


def test_cancel_model_switch_waits_for_the_claim_that_ends_the_switch(world):
    owner, worker = session(world, OWNER), session(world)
    switch(owner, world.project, "wide")
    assert work(worker, world.project, 500)
    worker.autocommit = False
    assert not work(worker, world.project)
    cancelled = []
    when_waiting(world, lambda: cancelled.append(
        owner.execute("select matrice.cancel_model_switch(%s)", [world.project]).fetchone()[0]), worker.commit)
    assert cancelled == [False]
    assert settings(owner, world.project) == ("wide", None)


def test_a_chunk_that_comes_before_the_switch_ends_is_waited_for(world):
    owner, editor, worker = session(world, OWNER), session(world, EDITORS[0]), session(world)
    switch(owner, world.project, "wide")
    editor.autocommit = False
    editor.execute("select matrice.ingest_source(%s, 'new', 'One more')", [world.project])
    assert work(worker, world.project, 500)
    editor.commit()
    assert work(worker, world.project, 500)
    assert settings(worker, world.project) == ("tiny", "wide")
    assert work(worker, world.project, 500)
    assert not work(worker, world.project)
    assert settings(worker, world.project) == ("wide", None)
    assert world.value(MISSING) == 0


def test_drop_embeddings_and_a_switch_back_wait_for_each_other(world):
    first, second = session(world, OWNER), session(world, OWNER)
    switch(first, world.project, "wide")
    drain(session(world), world.project)
    first.autocommit = False
    assert first.execute("select matrice.drop_embeddings(%s, 'tiny', 10)", [world.project]).fetchone()[0] == 10
    switched = []
    when_waiting(world, lambda: switched.append(switch(second, world.project, "tiny")), first.commit)
    # Ten vectors are gone, so it is not done.
    assert switched == [False]
    assert settings(second, world.project) == ("wide", "tiny")
    drain(session(world), world.project)
    assert settings(second, world.project) == ("tiny", None)


def test_many_switches_while_sources_come_and_go_and_workers_embed(world):
    project, crowd = world.project, Crowd(world, SECONDS)
    switches, cancelled = [], []

    def found(connection, _):
        count = connection.execute(FOUND, [project]).fetchone()[0]
        assert count == ANCHORS

    def edit(connection, rng):
        time.sleep(rng.uniform(0.05, 0.3))
        sources = [row[0] for row in connection.execute("select id from matrice.context_sources where name = 's'").fetchall()]
        choice = rng.random()
        if choice < 0.5 or not sources:
            ingest(connection, project, rng)
        elif choice < 0.75:
            connection.execute("select matrice.chunk_source(%s, %s, max_tokens => 8, overlap_tokens => 0)",
                               [rng.choice(sources), "\n\n".join(" ".join(rng.choices(WORDS, k=3)) for _ in range(20))])
        elif choice < 0.9:
            connection.execute("update matrice.source_chunks set content = content || ' again' where source_id = %s and chunk_index = 0", [rng.choice(sources)])
        else:
            connection.execute("delete from matrice.context_sources where id = %s", [rng.choice(sources)])

    def direct(connection, rng):
        """The owner switches from one model to the other, sometimes thinks better of it, and sometimes drops the former vectors."""
        active, _ = settings(connection, project)
        other = "wide" if active == "tiny" else "tiny"
        if switch(connection, project, other):
            switches.append((active, other))
        else:
            deadline = time.monotonic() + (0.2 if rng.random() < 0.3 else 60)
            while time.monotonic() < min(deadline, crowd.end) and settings(connection, project)[1]:
                time.sleep(0.02)
            if connection.execute("select matrice.cancel_model_switch(%s)", [project]).fetchone()[0]:
                cancelled.append(other)
            else:
                switches.append((active, other))
        active, _ = settings(connection, project)
        while rng.random() < 0.8 and connection.execute(
                "select matrice.drop_embeddings(%s, %s, 20)", [project, "wide" if active == "tiny" else "tiny"]).fetchone()[0]:
            pass

    def embed(project):
        def act(connection, rng):
            if not work(connection, project, rng.choice([4, 16, 64])):
                time.sleep(0.02)
        return act

    run(*[lambda n=n: crowd.keep_on(f"worker{n}", None, embed(None)) for n in range(3)],
        lambda: crowd.keep_on("own worker", EDITORS[0], embed(project)),
        *[lambda n=n: crowd.keep_on(f"editor{n}", EDITORS[n], edit) for n in (1, 2)],
        *[lambda n=n: crowd.keep_on(f"searcher{n}", EDITORS[n], found) for n in (0, 1)],
        lambda: crowd.keep_on("owner", OWNER, direct))
    assert not crowd.errors, crowd.errors
    assert all(crowd.done[kind] for kind in ("worker", "own worker", "editor", "searcher", "owner")), crowd.done
    # Each switch changed the model once.
    assert world.rows("select before, after from flips order by number") == switches
    assert switches
    assert wrong_vectors(world) == []

    # Nothing was forgotten: what is left is found and embedded, by this model and by the other one.
    owner, worker = session(world, OWNER), session(world)
    drain(worker, project)
    assert world.value(MISSING) == 0
    for _ in range(2):
        other = "wide" if settings(owner, project)[0] == "tiny" else "tiny"
        switch(owner, project, other)
        drain(worker, project)
        assert settings(owner, project) == (other, None)
        assert world.value(MISSING) == 0
    assert wrong_vectors(world) == []
    assert owner.execute(FOUND, [project]).fetchone()[0] == ANCHORS
