"""The shipped worker, beside what it does at most: storing the same embeddings, without claiming, without an endpoint.

A real HTTP endpoint answers at once. Eight jobs of one matrice-worker drain the chunks; then eight sessions that have everything
at hand call store_embeddings. BENCH_CHUNKS scales it; BENCH_JOBS is the number of jobs and of sessions.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import harness
from backlog import DIMENSIONS, MODEL, as_base64, at_once, fill, service, vectors

NAME = "bench_worker"
ROOT = Path(__file__).parent.parent
CHUNKS = int(os.environ.get("BENCH_CHUNKS", 100_000))
JOBS = int(os.environ.get("BENCH_JOBS", 8))
RUNS = int(os.environ.get("BENCH_RUNS", 3))
BATCH = 64


def start_endpoint():
    process = subprocess.Popen(["node", ROOT / "benches" / "endpoint.mjs", str(DIMENSIONS)], stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def refill(owner):
    owner.execute("truncate matrice.chunk_embeddings cascade")
    fill(owner, CHUNKS, 500)


def drain(owner, url):
    """Chunks a second, from the first claim to the last embedding, starting the process included."""
    refill(owner)
    functions = ROOT / "supabase" / "functions"
    environment = os.environ | {
        "DATABASE_URL": f"postgresql://bench_worker:{os.environ['MATRICE_PASSWORD']}@127.0.0.1:{os.environ['PGPORT']}/{NAME}?role=service_role",
        "EMBEDDINGS_URL": url, "EMBEDDINGS_API_KEY": "any", "EMBEDDINGS_MAX_INPUTS": str(BATCH),
    }
    started = time.perf_counter()
    subprocess.run(
        [os.environ["DENO"], "run", "--quiet", "--config", functions / "deno.json", "--lock", functions / "worker.lock", "--frozen",
         "--allow-net", "--allow-env", "--allow-read", functions / "_shared" / "cli.ts", "embed", "--once", "--jobs", str(JOBS)],
        env=environment, check=True, capture_output=True)
    took = time.perf_counter() - started
    stored, = owner.execute("select count(*) from matrice.chunk_embeddings").fetchone()
    if stored != CHUNKS:
        sys.exit(f"{stored} of {CHUNKS} chunks have an embedding")
    return CHUNKS / took


def store_share(number, start, shares):
    connection = service(NAME)
    mine = shares[number]
    sent = "[" + ",".join(map(as_base64, vectors(BATCH, number))) + "]"
    start.wait()
    began = time.perf_counter()
    for first in range(0, len(mine), BATCH):
        batch = mine[first:first + BATCH]
        embeddings = sent if len(batch) == BATCH else json.dumps(json.loads(sent)[:len(batch)])
        connection.execute("select matrice.store_embeddings(%s, %s, %s)", [MODEL, batch, embeddings])
    return time.perf_counter() - began


def store(owner):
    refill(owner)
    ids = [row[0] for row in owner.execute("select id from matrice.source_chunks order by source_id, chunk_index").fetchall()]
    each = -(-len(ids) // JOBS)
    return CHUNKS / max(at_once(JOBS, store_share, [ids[n * each:(n + 1) * each] for n in range(JOBS)]))


def main():
    owner = harness.database(NAME)
    owner.execute("do $$ begin create role bench_worker; exception when duplicate_object then end $$")
    owner.execute(f"alter role bench_worker login noinherit password '{os.environ['MATRICE_PASSWORD']}'; grant service_role to bench_worker")
    endpoint, url = start_endpoint()
    try:
        rates = {"matrice-worker": [], "store_embeddings alone": []}
        for _ in range(RUNS):
            rates["matrice-worker"].append(drain(owner, url))
            rates["store_embeddings alone"].append(store(owner))
    finally:
        endpoint.terminate()
    middle = {name: statistics.median(found) for name, found in rates.items()}
    print(f"{CHUNKS:,} chunks, {JOBS} at a time, {DIMENSIONS} numbers\n")
    harness.table(["who", "chunks a second", "ratio"],
                  [[name, round(rate), rate / middle["store_embeddings alone"]] for name, rate in middle.items()])


main()
