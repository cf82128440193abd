"""Writing: ingesting a document, claiming its chunks, storing their embeddings, deleting a project.

BENCH_CHUNKS scales the large backlog. BENCH_PARTS names some of the parts: claims store ingest progress delete.
"""

import io
import json
import os
import statistics
import struct
import sys
import time
import uuid
from pathlib import Path

import psycopg

import harness
from backlog import (
    DIMENSIONS,
    MODEL,
    as_base64,
    as_text,
    at_once,
    fill,
    service,
    vectors,
)

NAME = "bench_ingestion"
CHUNKS = int(os.environ.get("BENCH_CHUNKS", 1_000_000))
PARTS = os.environ.get("BENCH_PARTS", "claims store ingest progress delete").split()
SECONDS = float(os.environ.get("BENCH_SECONDS", 5))
WORKERS = (1, 8)
BATCH = 64
MEMBER = uuid.UUID(int=1)


# Claims ---------------------------------------------------------------------------------------------------------------------


def claim(_, start, seconds, most):
    connection = service(NAME)
    call = "select chunk_id, content, lease_id from matrice.claim_chunks(batch_size => %s)"
    took, claimed = [], 0
    # The first claim of a session makes its plans.
    connection.execute(call, [1]).fetchall()
    start.wait()
    used = harness.processor_seconds(connection)
    began = time.perf_counter()
    while time.perf_counter() - began < seconds and claimed < most:
        started = time.perf_counter()
        rows = connection.execute(call, [BATCH]).fetchall()
        took.append((time.perf_counter() - started) * 1000)
        claimed += len(rows)
        if not rows:
            break
    return claimed, time.perf_counter() - began, took, harness.processor_seconds(connection) - used


def claims_a_second(workers, seconds=SECONDS, most=10**9):
    done = at_once(workers, claim, seconds, most)
    took = sum((times for _, _, times, _ in done), [])
    claimed = sum(chunks for chunks, _, _, _ in done)
    processor = sum(used for _, _, _, used in done) * 1000 * BATCH / claimed
    return claimed / max(elapsed for _, elapsed, _, _ in done), statistics.median(took), processor


def first_claims(owner):
    """The first claim of a model in a project lists the parts of its sources."""
    worker = service(NAME)
    took = []
    for project, in owner.execute("select id from matrice.projects").fetchall():
        started = time.perf_counter()
        worker.execute("select from matrice.claim_chunks(batch_size => 1, project_id => %s)", [project])
        took.append((time.perf_counter() - started) * 1000)
    return statistics.median(took)


def embed(owner, chunks):
    """Embeds the first chunks in the order of claims, and leaves the index of waiting chunks as claims would."""
    owner.execute("insert into matrice.embedding_models (model, dimensions) values ('tiny', 3) on conflict do nothing;"
                  "update matrice.projects set settings = '{\"embedding_model\": \"tiny\"}' where true")
    worker = service(NAME)
    while chunks > 0:
        ids = [row[0] for row in worker.execute("select chunk_id from matrice.claim_chunks('tiny', %s)", [min(chunks, 10000)]).fetchall()]
        worker.execute("select matrice.store_embeddings('tiny', %s, %s)", [ids, json.dumps([[1, 2, 3]] * len(ids))])
        chunks -= len(ids)


def claims():
    owner = harness.database(NAME)
    rows = []
    for chunks, per_source in ((10_000, 500), (CHUNKS, 500), (CHUNKS, 2)):
        fill(owner, chunks, per_source)
        first = first_claims(owner)
        for workers in WORKERS:
            # The small backlog is claimed only in part, so that it stays a backlog.
            rate, median, processor = claims_a_second(workers, most=chunks // 2 // workers)
            rows.append([f"{chunks:,}", per_source, first, workers, round(rate), median, processor])
            owner.execute("delete from matrice.embedding_leases")
            owner.execute("vacuum matrice.embedding_leases, matrice_private.waiting_parts")
    print(f"Claims of {BATCH} chunks in 4 projects\n")
    harness.table(["waiting chunks", "chunks of a source", "the first claim of a project, ms", "workers", "chunks a second", "a claim, ms",
                   "processor of the server, ms a claim"], rows)

    fill(owner, 200_000, 500)
    rows = []
    embedded = 0
    for target in (0, 100_000, 190_000, 200_000):
        embed(owner, target - embedded)
        embedded = target
        took = []
        for _ in range(21):
            worker = service(NAME)
            worker.execute("begin")
            started = time.perf_counter()
            found = len(worker.execute("select * from matrice.claim_chunks('tiny', %s)", [BATCH]).fetchall())
            took.append((time.perf_counter() - started) * 1000)
            worker.execute("rollback")
        rows.append([f"{target:,}", found, statistics.median(took)])
    print(f"A claim of {BATCH}, of 200,000 chunks of which some are embedded, each in a new session\n")
    harness.table(["embedded", "claimed", "ms"], rows)

    fill(owner, CHUNKS, 500)
    embed(owner, 0)
    old = psycopg.connect(dbname=NAME)
    old.execute("set transaction isolation level repeatable read")
    old.execute("select count(*) from matrice.projects")
    rows = []
    claimed = 0
    for share in (0, 0.25, 0.5, 0.75):
        while claimed < share * CHUNKS:
            claimed += len(service(NAME).execute("select 1 from matrice.claim_chunks('tiny', 10000)").fetchall())
        rate, median = claims_a_second_of_tiny()
        rows.append([f"{claimed:,}", round(rate), median])
    old.close()
    print(f"One worker, while a transaction of another session has an old snapshot, of {CHUNKS:,} chunks\n")
    harness.table(["claimed since then", "chunks a second", "a claim, ms"], rows)


def claims_a_second_of_tiny():
    worker = service(NAME)
    took, claimed = [], 0
    began = time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        started = time.perf_counter()
        claimed += len(worker.execute("select chunk_id, content, lease_id from matrice.claim_chunks('tiny', %s)", [BATCH]).fetchall())
        took.append((time.perf_counter() - started) * 1000)
    return claimed / (time.perf_counter() - began), statistics.median(took)


# Storing --------------------------------------------------------------------------------------------------------------------


def binary_copy(rows):
    """Rows of PostgreSQL's binary COPY: chunk_id, project_id, model, embedding."""
    out = io.BytesIO()
    out.write(b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0))
    for chunk, project, vector in rows:
        value = struct.pack(">HH", DIMENSIONS, 0) + vector.astype(">f4").tobytes()
        for field in (struct.pack(">h", 4), *(struct.pack(">i", len(data)) + data for data in (chunk.bytes, project.bytes, MODEL.encode(), value))):
            out.write(field)
    out.write(struct.pack(">h", -1))
    return out.getvalue()


def store(number, start, way, chunks, user):
    """Stores vectors for its chunks in batches; what is sent is made beforehand."""
    mine = chunks[number]
    batches = [mine[n:n + BATCH] for n in range(0, len(mine), BATCH)]
    sent = []
    for batch_number, batch in enumerate(batches):
        made = vectors(len(batch), number * 1000 + batch_number)
        if way == "COPY, text":
            sent.append("".join(f"{chunk}\t{project}\t{MODEL}\t{as_text(vector)}\n" for (chunk, project), vector in zip(batch, made)))
        elif way == "COPY, binary":
            sent.append(binary_copy([(chunk, project, vector) for (chunk, project), vector in zip(batch, made)]))
        else:
            form = as_text if way == "JSON arrays" else as_base64
            sent.append(("[" + ",".join(map(form, made)) + "]", [chunk for chunk, _ in batch]))
    # PostgreSQL has no COPY FROM under row-level security.
    connection = harness.signed_in(NAME, user) if user and not way.startswith("COPY") else service(NAME)
    for turn, batch in enumerate(sent):
        # The first batch fills the caches of the session.
        if turn == 1:
            start.wait()
            began = time.perf_counter()
        if way.startswith("COPY"):
            options = " with (format binary)" if way.endswith("binary") else ""
            with connection.cursor().copy(f"copy matrice.chunk_embeddings (chunk_id, project_id, model, embedding) from stdin{options}") as copy:
                copy.write(batch)
        else:
            connection.execute("select matrice.store_embeddings(%s, %s, %s)", [MODEL, batch[1], batch[0]])
    return len(mine) - BATCH, time.perf_counter() - began


def store_embeddings():
    owner = harness.database(NAME)
    owner.execute("drop index if exists matrice.idx_embeddings_vector")
    runs, batches = 5, 12
    ways = ["COPY, text", "COPY, binary", "JSON arrays", "base64"]
    fill(owner, 40_000, 500, projects=1)
    owner.execute("insert into matrice.user_projects (user_id, project_id, role) select %s, id, 'editor' from matrice.projects", [MEMBER])
    ids = owner.execute("select id, project_id from matrice.source_chunks order by source_id, chunk_index").fetchall()
    rows = []
    for label, workers, user in (("1 service", 1, None), ("8 services", 8, None), ("1 member", 1, MEMBER)):
        rates = {way: [] for way in ways}
        for run in range(runs):
            # In turn, each way into a table as full as the others'.
            first = run % len(ways)
            for way in ways[first:] + ways[:first]:
                owner.execute("truncate matrice.chunk_embeddings")
                each = (1 + max(batches // workers, 2)) * BATCH
                shares = [ids[n * each:(n + 1) * each] for n in range(workers)]
                done = at_once(workers, store, way, shares, user)
                rates[way].append(sum(count for count, _ in done) / max(elapsed for _, elapsed in done))
        middle = {way: statistics.median(rates[way]) for way in ways}
        rows.append([label, *(round(middle[way]) for way in ways), middle["JSON arrays"] / middle["COPY, text"],
                     middle["base64"] / middle["COPY, text"], middle["base64"] / middle["COPY, binary"]])
    print(f"Storing vectors of {DIMENSIONS} numbers, {BATCH} at a time; vectors a second\n")
    harness.table(["who", *ways, "JSON / COPY text", "base64 / COPY text", "base64 / COPY binary"], rows)


# Ingesting ------------------------------------------------------------------------------------------------------------------


def document(size=10_000_000):
    """Text of this repository, over and over, with a number in each line so that its parts differ."""
    root = Path(__file__).parent.parent
    text = "\n".join(file.read_text() for pattern in ("*.md", "sql/**/*.sql", "docs/**/*.md") for file in sorted(root.glob(pattern)))
    lines = text.encode("ascii", "ignore").decode().splitlines()
    made, length, number = [], 0, 0
    while length < size:
        line = lines[number % len(lines)] + (f" {number}" if number >= len(lines) and number % 7 == 0 else "")
        made.append(line)
        length += len(line) + 1
        number += 1
    return "\n".join(made)[:size]


def ingest():
    owner = harness.database(NAME)
    project = owner.execute("insert into matrice.projects (name) values ('p') returning id").fetchone()[0]
    owner.execute("insert into matrice.user_projects (user_id, project_id, role) values (%s, %s, 'editor')", [MEMBER, project])
    text = document()
    owner.execute("create table equal (like matrice.source_chunks including all)")
    callers = {"service": service(NAME), "member": harness.signed_in(NAME, MEMBER)}
    owner.execute(f"alter database {NAME} set track_functions = 'all'")
    took = {name: [] for name in ("chunk_text", "COPY", *callers)}
    analysis = {name: [] for name in callers}

    def timed(name, act):
        started = time.perf_counter()
        act()
        took[name].append(time.perf_counter() - started)

    for _ in range(5):
        timed("chunk_text", lambda: owner.execute("select count(*) from matrice.chunk_text(%s)", [text]))
        for name in callers:
            with psycopg.connect(dbname=NAME, autocommit=True) as caller:
                caller.execute("select set_config('request.jwt.claims', %s, false)", [json.dumps({"sub": str(MEMBER)})])
                caller.execute("set role " + ("authenticated" if name == "member" else "service_role"))
                owner.execute("select pg_stat_reset()")
                timed(name, lambda caller=caller: caller.execute("select matrice.ingest_source(%s, 'document', %s)", [project, text]))
            time.sleep(1)
            analysis[name].append(owner.execute(
                "select coalesce(sum(total_time), 0) / 1000 from pg_stat_user_functions where funcname in ('_text_vector', 'index_words')").fetchone()[0])
        with owner.cursor().copy("copy (select * from matrice.source_chunks where source_id = (select id from matrice.context_sources limit 1))"
                                 " to stdout (format binary)") as copy:
            data = b"".join(copy)
        owner.execute("truncate equal")

        def copy_rows(data=data):
            with owner.cursor().copy("copy equal from stdin (format binary)") as copy:
                copy.write(data)

        timed("COPY", copy_rows)
        owner.execute("delete from matrice.context_sources")
        owner.execute("vacuum matrice.source_chunks")
    middle = {name: statistics.median(times) for name, times in took.items()}
    least = middle["chunk_text"] + middle["COPY"]
    rows = []
    for name in callers:
        apart = statistics.median(whole - part for whole, part in zip(took[name], analysis[name]))
        rows.append([name, middle[name], statistics.median(analysis[name]), apart, middle["chunk_text"], middle["COPY"], apart / least])
    print(f"ingest_source of {len(text) / 1e6:.0f} MB; seconds\n")
    harness.table(["who", "ingest_source", "of it text analysis", "the rest", "chunk_text", "COPY of the rows", "the rest / (chunk_text + COPY)"], rows)


# Progress -------------------------------------------------------------------------------------------------------------------


def switch(owner, way):
    """Triggers that count chunks and embeddings of sources, and tell of them."""
    for table, trigger in owner.execute(
            "select tgrelid::regclass::text, tgname from pg_trigger where tgname ~ 'progress' and not tgisinternal").fetchall():
        owner.execute(f"alter table {table} {way} trigger {trigger}")


def progress(rounds=9):
    """Processor time of a member's session, with the columns of progress and without them, in turn."""
    owner = harness.database(NAME)
    project = owner.execute("insert into matrice.projects (name) values ('p') returning id").fetchone()[0]
    owner.execute("insert into matrice.user_projects (user_id, project_id, role) values (%s, %s, 'editor')", [MEMBER, project])
    member = harness.signed_in(NAME, MEMBER)
    text = document(2_000_000)
    embeddings = "[" + ",".join(map(as_base64, vectors(BATCH, 1))) + "]"
    took = {"ingest_source of 2 MB": {"disable": [], "enable": []}, "store_embeddings of all its chunks": {"disable": [], "enable": []}}

    def timed(name, way, act):
        started = harness.processor_seconds(member)
        result = act()
        took[name][way].append(harness.processor_seconds(member) - started)
        return result

    def store_all(ids):
        for first in range(0, len(ids) - BATCH, BATCH):
            member.execute("select matrice.store_embeddings(%s, %s, %s)", [MODEL, ids[first:first + BATCH], embeddings])

    for turn in range(rounds):
        for way in ("disable", "enable") if turn % 2 else ("enable", "disable"):
            switch(owner, way)
            source = timed("ingest_source of 2 MB", way, lambda: member.execute(
                "select matrice.ingest_source(%s, 'document', %s)", [project, text]).fetchone()[0])
            ids = [row[0] for row in owner.execute("select id from matrice.source_chunks where source_id = %s order by chunk_index", [source]).fetchall()]
            timed("store_embeddings of all its chunks", way, lambda ids=ids: store_all(ids))
            owner.execute("delete from matrice.context_sources")
    rows = []
    for name, ways in took.items():
        without, kept = (statistics.median(ways[way]) for way in ("disable", "enable"))
        rows.append([name, without, kept, f"{kept / without:.3f}"])
    harness.table(["call", "without progress, processor seconds", "with it", "ratio"], rows)


# Deleting -------------------------------------------------------------------------------------------------------------------


def delete():
    owner = harness.database(NAME)
    owner.execute("drop index if exists matrice.idx_embeddings_vector")
    rows = []
    for chunks in (10_000, 100_000):
        fill(owner, chunks, 500, projects=2)
        owner.execute("set session_replication_role = replica")
        owner.execute(
            "insert into matrice.chunk_embeddings (chunk_id, project_id, model, embedding)"
            f" select id, project_id, '{MODEL}', v.v from matrice.source_chunks, (select array_agg(random())::vector as v from generate_series(1, {DIMENSIONS})) v")
        owner.execute("reset session_replication_role")
        owner.execute("select matrice_private.rebuild_word_index()")
        started = time.perf_counter()
        owner.execute("delete from matrice.projects where name = 'p0'")
        rows.append([f"{chunks // 2:,}", time.perf_counter() - started])
    print(f"Deleting a project with its chunks and their embeddings of {DIMENSIONS} numbers; another project is as large\n")
    harness.table(["chunks", "seconds"], rows)


def main():
    known = {"claims": claims, "store": store_embeddings, "ingest": ingest, "progress": progress, "delete": delete}
    for part in PARTS:
        if part not in known:
            sys.exit(f"BENCH_PARTS={part}: it must be one of {', '.join(known)}")
        known[part]()


main()
