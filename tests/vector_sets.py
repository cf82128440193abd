"""The sets of vectors that searches are held to, as {name: (vectors, queries)}, and how they come into a database.

Most are made of real embeddings (data/real_embeddings.npz), whose vectors share a large mean.
"""

import hashlib
import random
import sys
import uuid
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parent.parent


def real():
    """E5's passages and questions as they are, and in the forms that other models' vectors have."""
    stored = numpy.load(ROOT / "tests" / "data" / "real_embeddings.npz")
    passages, questions = stored["passages"].astype(numpy.float32), stored["queries"].astype(numpy.float32)
    mean, least = passages.mean(0), min(passages.min(), questions.min())
    forms = {
        "E5": lambda x: x,
        "E5, shifted": lambda x: x + 0.1,
        "E5, one-signed": lambda x: x - least + 0.001,
        "E5, sparse and not negative": lambda x: numpy.maximum(x - mean - 0.02, 0),
        "E5, mean removed": lambda x: x - mean,
    }
    sets = {name: (form(passages), form(questions)) for name, form in forms.items()}
    # Twice as many are no longer so few that all of them are compared at once.
    changed = passages + 0.005 * numpy.random.default_rng(4).standard_normal(passages.shape).astype(numpy.float32)
    for name in ("E5", "E5, one-signed", "E5, mean removed"):
        sets[f"{name}, two versions"] = (numpy.concatenate([sets[name][0], forms[name](changed)]), sets[name][1])
    return sets


def offline():
    """Lines of this repository by WordLlama; every twentieth is a query and not searched."""
    sys.path.insert(0, str(ROOT / "scripts"))
    import embedder

    files = sorted([*ROOT.glob("sql/*.sql"), *ROOT.glob("src/**/*.rs"), ROOT / "README.md"])
    lines = [line.strip() for file in files for line in file.read_text().splitlines()]
    lines = sorted({line for line in lines if len(line) > 40}, key=lambda line: hashlib.md5(line.encode()).digest())
    made = numpy.array(embedder.Offline().embed(lines), numpy.float32)
    made = made[numpy.linalg.norm(made, axis=1) > 0]
    return {"WordLlama": (made[numpy.arange(len(made)) % 20 > 0], made[::20][:200])}


def copies(documents, versions, difference, dimensions=384, seed=1):
    """Documents in many versions, or templates filled in: each vector is one of few, and a little else."""
    random = numpy.random.default_rng(seed)
    centres = random.standard_normal((documents, dimensions))
    near = lambda centres: (centres + difference * random.standard_normal(centres.shape)).astype(numpy.float32)
    return near(centres.repeat(versions, 0)), near(centres[random.integers(0, documents, 200)])


def near_copies():
    return {
        "1,000 near copies of each of 4": copies(4, 1000, 0.05),
        "100 near copies of each of 40": copies(40, 100, 0.3),
        "10 versions of each of 400": copies(400, 10, 0.1),
        "100 exact copies of each of 40": copies(40, 100, 0),
    }


def few():
    random = numpy.random.default_rng(2)
    return {"7 vectors": (random.standard_normal((7, 384)).astype(numpy.float32), random.standard_normal((200, 384)).astype(numpy.float32))}


def all_sets():
    return {**real(), **offline(), **near_copies(), **few()}


def near_one_of_few(rng, dimensions):
    """The text of a vector, by Python's own generator. It is near one of twenty, with a large mean, as real embeddings are."""
    centre = random.Random(rng.randrange(20))
    return "[" + ",".join(f"{3 + centre.gauss(0, 1) + rng.gauss(0, 0.7):.4f}" for _ in range(dimensions)) + "]"


def identifier(kind, *name):
    return uuid.UUID(bytes=hashlib.md5(" ".join(map(str, (kind, *name))).encode()).digest())


def model_of(vectors):
    return f"of {vectors.shape[1]} dimensions"


def load(owner, name, vectors, tagged=lambda number: {}):
    """A project with these vectors. Its chunks have the identifiers ("chunk", name, number)."""
    project, source = identifier("project", name), identifier("source", name)
    owner.execute("insert into matrice.embedding_models (model, dimensions) values (%s, %s) on conflict do nothing",
                  [model_of(vectors), vectors.shape[1]])
    owner.execute("insert into matrice.projects (id, name, settings) values (%s, %s, jsonb_build_object('embedding_model', %s::text))",
                  [project, name, model_of(vectors)])
    owner.execute("insert into matrice.context_sources (id, project_id, name) values (%s, %s, 'source')", [source, project])
    copy(owner, "matrice.source_chunks (id, source_id, chunk_index, content, token_count, metadata)", (
        (identifier("chunk", name, number), source, number, f"chunk {number}", 2, as_json(tagged(number))) for number in range(len(vectors))))
    copy(owner, "matrice.chunk_embeddings (chunk_id, model, embedding)", (
        (identifier("chunk", name, number), model_of(vectors), as_text(vector)) for number, vector in enumerate(vectors)))
    return project


def as_json(tags):
    return "{" + ", ".join(f'"{key}": {value}' for key, value in tags.items()) + "}"


def as_text(vector):
    return "[" + ",".join(map(str, vector.tolist())) + "]"


def copy(owner, target, rows):
    with owner.cursor().copy(f"copy {target} from stdin") as stream:
        for row in rows:
            stream.write_row(row)


def similarities(vectors, queries):
    """Cosines in double precision, a row for each query."""
    unit = lambda x: x.astype(numpy.float64) / numpy.linalg.norm(x.astype(numpy.float64), axis=1, keepdims=True)
    return unit(queries) @ unit(vectors).T


def recall(similar, found, count):
    """Of the true nearest, by their similarities, the share that was found (numbers of vectors). Of equal ones any will do."""
    there = min(count, len(similar))
    assert len(found) == len(set(found)) == there
    least = numpy.partition(similar, -there)[-there]
    # pgvector adds up in single precision.
    return sum(similar[list(found)] >= least - 3e-7) / there
