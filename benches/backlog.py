"""Chunks that wait for embeddings, vectors as a client sends them, and many clients at once."""

import base64
import multiprocessing
import uuid

import numpy
import psycopg

MODEL, DIMENSIONS = "text-embedding-3-small", 1536


def service(name):
    connection = psycopg.connect(dbname=name, autocommit=True)
    connection.execute("set role service_role")
    return connection


def fill(owner, chunks, per_source, projects=4):
    """Projects whose chunks wait for embeddings. Without triggers: they are not what is measured."""
    # An id is never used twice.
    seed = str(uuid.uuid4())
    owner.execute("truncate matrice.projects cascade")
    owner.execute("truncate matrice_private.waiting_parts, matrice_private.embedding_queues")
    owner.execute("insert into matrice.projects (id, name) select md5(%s || 'p' || i)::uuid, 'p' || i from generate_series(0, %s - 1) i", [seed, projects])
    owner.execute("set session_replication_role = replica")
    owner.execute(
        "insert into matrice.context_sources (id, project_id, name, created_at)"
        " select md5(%s || i)::uuid, md5(%s || 'p' || i %% %s)::uuid, 'source', now() - interval '1 hour' + i * interval '1 microsecond'"
        "   from generate_series(0, %s - 1) i", [seed, seed, projects, chunks // per_source])
    owner.execute(
        "insert into matrice.source_chunks (source_id, project_id, chunk_index, content, token_count)"
        " select md5(%s || i / %s)::uuid, md5(%s || 'p' || (i / %s) %% %s)::uuid, i %% %s, repeat('some words of a chunk ', 40) || i, 200"
        "   from generate_series(0, %s - 1) i", [seed, per_source, seed, per_source, projects, per_source, chunks])
    for command in ("reset session_replication_role", "vacuum analyze matrice.source_chunks", "checkpoint"):
        owner.execute(command)


def at_once(workers, work, *arguments):
    """Runs work(number, start, *arguments) in processes that begin together; returns the results."""
    start = multiprocessing.Barrier(workers)
    results = multiprocessing.Queue()

    def run(number):
        results.put(work(number, start, *arguments))

    processes = [multiprocessing.Process(target=run, args=(number,)) for number in range(workers)]
    for process in processes:
        process.start()
    done = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return done


def vectors(count, seed):
    made = numpy.random.default_rng(seed).standard_normal((count, DIMENSIONS)).astype(numpy.float32)
    return made / numpy.linalg.norm(made, axis=1, keepdims=True)


def as_text(vector):
    """With the digits that JSON has of a float."""
    return "[" + ",".join(map(str, vector.tolist())) + "]"


def as_base64(vector):
    return '"' + base64.b64encode(vector.astype("<f4").tobytes()).decode() + '"'
