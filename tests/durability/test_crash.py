"""kill -9 in the middle of ingestion: every document is there whole or not at all, and the queue forgets nothing."""

import os
import signal
import subprocess
import threading
import time

import psycopg

from conftest import ROOT, sign_in

CLUSTER = "crash"
TEXT = "".join(file.read_text() for file in sorted((ROOT / "sql" / "007_functions").glob("2*.sql")))


def cluster(action):
    subprocess.run([ROOT / "scripts" / "cluster", action, CLUSTER], check=True, capture_output=True)


def cluster_environment():
    shell = f'eval "$({ROOT}/scripts/cluster env {CLUSTER})"; echo "$PGHOST $PGPORT $MATRICE_PGDATA"'
    return subprocess.run(["bash", "-c", shell], check=True, capture_output=True, text=True).stdout.split()


def connect(name, user="postgres"):
    host, port, _ = cluster_environment()
    return psycopg.connect(host=host, port=port, dbname=name, user=user, autocommit=True)


def ingest_until_killed(project, begun):
    try:
        with connect("postgres") as connection:
            sign_in(connection)
            for number in range(10_000):
                connection.execute("select matrice.ingest_source(%s, %s, %s, format => 'sql')", [project, f"source {number}", TEXT])
                begun.set()
    except psycopg.OperationalError:
        return


def embed_until_killed(begun):
    try:
        with connect("postgres") as connection:
            connection.execute("set role service_role")
            while True:
                embed_batch(connection)
                begun.set()
    except psycopg.OperationalError:
        return


def embed_batch(connection):
    ids = [row[0] for row in connection.execute("select chunk_id from matrice.claim_chunks('gte-small', 16, lease_seconds => 1)").fetchall()]
    vector = "[" + ",".join(["1"] * 384) + "]"
    connection.execute("select matrice.store_embeddings('gte-small', %s::uuid[], (select jsonb_agg(%s::jsonb) from generate_series(1, %s)))",
                       [ids, vector, len(ids)]) if ids else None
    return len(ids)


def wait_until_gone(process):
    """Until init has reaped it: the server refuses to start while its predecessor's id is in use."""
    for _ in range(600):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError(f"process {process} is still there")


def test_a_server_killed_during_ingest_source_and_store_embeddings_recovers():
    cluster("start")
    try:
        with connect("postgres") as connection:
            connection.execute("drop extension if exists matrice; drop schema if exists matrice, matrice_private cascade")
            connection.execute("create extension if not exists vector; create extension matrice")
            sign_in(connection)
            project = connection.execute("select matrice.create_project('Crash', settings => '{\"embedding_model\": \"gte-small\"}')").fetchone()[0]
        begun = [threading.Event(), threading.Event()]
        workers = [threading.Thread(target=ingest_until_killed, args=(project, begun[0])),
                   threading.Thread(target=embed_until_killed, args=(begun[1],))]
        for worker in workers:
            worker.start()
        assert all(event.wait(60) for event in begun)

        _, _, data = cluster_environment()
        with open(os.path.join(data, "postmaster.pid")) as file:
            postmaster = int(file.readline())
        children = subprocess.run(["pgrep", "-P", str(postmaster)], capture_output=True, text=True, check=True).stdout.split()
        for process in [postmaster, *map(int, children)]:
            os.kill(process, signal.SIGKILL)
        for worker in workers:
            worker.join(60)
        assert not any(worker.is_alive() for worker in workers)
        wait_until_gone(postmaster)
        time.sleep(1.1)  # the leases of the worker that died
        cluster("start")

        with connect("postgres") as connection:
            count = lambda query: connection.execute(query).fetchone()[0]
            whole = count(f"select count(*) from matrice.chunk_text($text${TEXT}$text$, format => 'sql')")
            assert whole > 10
            sources = connection.execute(
                "select s.status, count(c.id) from matrice.context_sources s"
                "  left join matrice.source_chunks c on c.source_id = s.id group by s.id").fetchall()
            assert sources and set(sources) == {("ready", whole)}
            connection.execute("set role service_role")
            while embed_batch(connection):
                pass
            connection.execute("reset role")
            assert count("select count(*) from matrice.chunk_embeddings") == count("select count(*) from matrice.source_chunks") == len(sources) * whole
            assert count("select count(*) from matrice.embedding_leases") == 0
    finally:
        cluster("stop")
