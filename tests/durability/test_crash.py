"""kill -9 in the middle of ingestion: every document is there whole or not at all, and the queue forgets nothing."""

import time

from servers import Server

from conftest import ROOT, sign_in

TEXT = "".join(file.read_text() for file in sorted((ROOT / "sql" / "007_functions").glob("2*.sql")))


def ingests(project):
    def work(connection):
        sign_in(connection)
        for number in range(10_000):
            connection.execute("select matrice.ingest_source(%s, %s, %s, format => 'sql')", [project, f"source {number}", TEXT])
            yield

    return work


def embeds(connection):
    connection.execute("set role service_role")
    while True:
        embed_batch(connection)
        yield


def embed_batch(connection):
    ids = [row[0] for row in connection.execute("select chunk_id from matrice.claim_chunks('gte-small', 16, lease_seconds => 1)").fetchall()]
    vector = "[" + ",".join(["1"] * 384) + "]"
    connection.execute("select matrice.store_embeddings('gte-small', %s::uuid[], (select jsonb_agg(%s::jsonb) from generate_series(1, %s)))",
                       [ids, vector, len(ids)]) if ids else None
    return len(ids)


def test_a_server_killed_during_ingest_source_and_store_embeddings_recovers(monkeypatch):
    with Server(monkeypatch, "crash") as server:
        database = server.new_database()
        with database.connect() as connection:
            sign_in(connection)
            project = connection.execute("select matrice.create_project('Crash', settings => '{\"embedding_model\": \"gte-small\"}')").fetchone()[0]
        server.kill_during(ingests(project), embeds, times=1)
        time.sleep(1.1)  # the leases of the worker that died

        whole = database.value(f"select count(*) from matrice.chunk_text($text${TEXT}$text$, format => 'sql')")
        assert whole > 10
        sources = database.rows(
            "select s.status, count(c.id) from matrice.context_sources s"
            "  left join matrice.source_chunks c on c.source_id = s.id group by s.id")
        assert sources and set(sources) == {("processing", whole)}
        with database.connect() as connection:
            connection.execute("set role service_role")
            while embed_batch(connection):
                pass
        assert database.value("select count(*) from matrice.chunk_embeddings") == database.value("select count(*) from matrice.source_chunks") == len(sources) * whole
        assert database.value("select count(*) from matrice.embedding_leases") == 0
