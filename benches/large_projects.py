"""Searches of projects with so many embeddings that their codes are in cells.

The vectors are made of E5's passages (tests/data/real_embeddings.npz), shortened to 64 dimensions by their principal components:
each is between a passage and one of its neighbours, with noise. The questions are E5's, too: these are another kind of vector
than the stored ones. For comparison there are the vectors of corpus.py, whose neighbourhoods are wide, and random ones, which have none.
"""

import time
import uuid

import numpy

import corpus
import harness
import vector_sets

NAME = "bench_large"
DIMENSIONS = 64
BATCH = 50_000
MODEL = f"of {DIMENSIONS} dimensions"
ASKED = 60
# One chunk of so many has a tag.
FILTERS = [10, 100]
SEARCH = "select chunk_id from matrice._nearest_chunks(array[%s]::uuid[], %s, %s::vector, 10, (select ids from among where kept = %s))"


def unit(vectors):
    return (vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)).astype(numpy.float32)


def real():
    """(a maker of so many vectors from a source of randomness, questions)"""
    passages, questions = vector_sets.real()["E5"]
    mean = passages.mean(0)
    axes = numpy.linalg.svd(passages - mean, full_matrices=False)[2][:DIMENSIONS].T
    passages, questions = (passages - mean) @ axes, (questions - mean) @ axes
    deviations = passages.std(0)
    near = numpy.argsort(-(unit(passages) @ unit(passages).T), 1)[:, 1:30]

    def make(count, random):
        first = random.integers(0, len(passages), count)
        second = near[first, random.integers(0, near.shape[1], count)]
        share = random.random((count, 1)) / 2
        noise = deviations * random.standard_normal((count, DIMENSIONS)) / 2
        return unit(passages[first] * (1 - share) + passages[second] * share + noise)

    return make, unit(questions)[:ASKED]


def kinds():
    make, questions = real()
    shorten = numpy.random.default_rng(3).standard_normal((corpus.DIMENSIONS, DIMENSIONS))
    of_corpus = lambda count, random: unit(corpus.vectors(count, random) @ shorten)
    alone = lambda count, random: unit(random.standard_normal((count, DIMENSIONS)))
    own = lambda maker: maker(ASKED, numpy.random.default_rng(7))
    return {"real": (make, {"real": own(make), "real, questions": questions}), "own": (of_corpus, {"the benchmark's own": own(of_corpus)}),
            "random": (alone, {"random": own(alone)})}


def batches(make, count):
    for start in range(0, count, BATCH):
        yield start, make(min(BATCH, count - start), numpy.random.default_rng([5, start]))


def chunk_ids(start, count):
    """As bytes: those of the vectors with the numbers from start on. They are as random as all ids."""
    return numpy.random.default_rng([11, start]).bytes(16 * count)


def named(ids, every=1):
    return [uuid.UUID(bytes=ids[place:place + 16]) for place in range(0, len(ids), 16 * every)]


def load(owner, project, make, count):
    """Embeddings alone, without chunks: three million of these would take gigabytes. Returns seconds for codes and for cells."""
    owner.execute("insert into matrice.embedding_models (model, dimensions) values (%s, %s) on conflict do nothing", [MODEL, DIMENSIONS])
    owner.execute("insert into matrice.projects (id, name) values (%s, %s)", [project, str(project)])
    owner.execute("set session_replication_role = replica")
    model = MODEL.encode()
    form = numpy.dtype([("fields", ">i2"), ("s1", ">i4"), ("chunk", "V16"), ("s2", ">i4"), ("project", "V16"), ("s3", ">i4"), ("model", f"S{len(model)}"),
                        ("s4", ">i4"), ("dimensions", ">i2"), ("zero", ">i2"), ("embedding", ">f4", DIMENSIONS)])
    codes = 0.0
    for start, part in batches(make, count):
        rows = numpy.zeros(len(part), form)
        rows["fields"], rows["s1"], rows["s2"], rows["s3"], rows["s4"] = 4, 16, 16, len(model), 4 + 4 * DIMENSIONS
        ids = chunk_ids(start, len(part))
        rows["chunk"], rows["model"], rows["dimensions"], rows["embedding"] = numpy.frombuffer(ids, "V16"), model, DIMENSIONS, part
        rows["project"] = numpy.frombuffer(project.bytes * len(part), "V16")
        with owner.cursor().copy("copy matrice.chunk_embeddings (chunk_id, project_id, model, embedding) from stdin (format binary)") as stream:
            stream.write(b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff")
        started = time.perf_counter()
        names = named(ids)
        for first in range(0, len(names), 25_000):
            owner.execute("select matrice_private.add_codes(%s, %s, %s)", [project, MODEL, names[first:first + 25_000]])
        codes += time.perf_counter() - started
    owner.execute("set session_replication_role = origin")
    owner.execute("vacuum analyze matrice.chunk_embeddings")
    return codes


def tag(owner, count):
    """What the engine gets as a filter: the ids of the chunks that match."""
    ids = b"".join(chunk_ids(start, min(BATCH, count - start)) for start in range(0, count, BATCH))
    owner.execute("create table among (kept integer, ids uuid[])")
    for kept in FILTERS:
        owner.execute("insert into among values (%s, %s)", [kept, named(ids, kept)])


def ask(owner, project, queries, kept=None):
    """(median milliseconds of the processor, what each query finds)"""
    found, took = [], []
    for query in queries:
        given = [project, MODEL, vector_sets.as_text(query), kept]
        started = harness.processor_seconds(owner)
        found.append({row[0] for row in owner.execute(SEARCH, given).fetchall()})
        took.append(1000 * (harness.processor_seconds(owner) - started))
    return float(numpy.median(took)), found


def agreement(found, truths):
    return f"{numpy.mean([len(some & right) / len(right) for some, right in zip(found, truths)]):.3f}"


def compare(owner, count, project, asked, codes):
    """Searches that read all codes, then the same with cells. The first ones find what there is: see BENCH_PARTS=sets."""
    calls = [(name, queries[:ASKED if kept is None else 30], kept) for name, queries in asked.items() for kept in (None, *FILTERS)]
    ask(owner, project, calls[0][1])
    before = [ask(owner, project, queries, kept) for _, queries, kept in calls]
    started = time.perf_counter()
    owner.execute("select matrice_private.cluster_codes(%s, %s, steps => null, batch => 131072)", [project, MODEL])
    cells = time.perf_counter() - started
    owner.execute("vacuum analyze matrice_private.code_pages, matrice_private.code_cells")
    ask(owner, project, calls[0][1])
    size = owner.execute("select count(*) * 8192 from matrice_private.code_pages").fetchone()[0]
    rows = []
    for (name, queries, kept), (all_codes, truths) in zip(calls, before):
        took, found = ask(owner, project, queries, kept)
        rows.append([f"{name}{f', 1 of {kept}' if kept else ''}", f"{count:,}", all_codes, took, 1e6 * took / count, agreement(found, truths), codes, cells, size // count])
        print(rows[-1], flush=True)
    return rows


def measure(sizes, names):
    """Each kind of vectors in each size. Filters are given as the engine gets them, by the ids of the chunks."""
    rows = []
    for kind, (make, asked) in kinds().items():
        for count in sizes:
            if names and kind not in names:
                continue
            owner, project = harness.database(NAME), uuid.UUID(int=count)
            codes = load(owner, project, make, count)
            tag(owner, count)
            rows += compare(owner, count, project, asked, codes)
    harness.table(["vectors and queries", "codes", "all codes, ms", "cells, ms", "ns a code", "of what all codes find", "codes, s", "cells, s", "bytes a code"], rows)
