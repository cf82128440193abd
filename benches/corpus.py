"""The chunks that the retrieval benchmark searches: 1,000 small projects, and a large one with a third of all chunks.

Their vectors have the neighbourhoods of real embeddings, between uniform noise, where nothing is near, and tight
clusters, where everything is found: pgvector's HNSW finds some 0.7 of the true ten nearest by its defaults.
"""

import hashlib
import json
import uuid

import numpy

DIMENSIONS = 1536
SMALL_PROJECTS = 1000
BATCH = 10_000
# At most 100,000 are allowed.
CHUNKS_OF_A_SOURCE = 50_000
# Of the large project's chunks, every so manyth carries the tag.
TAGS = {"1 %": 100, "0.1 %": 1000, "1 row": None}

shape = numpy.random.default_rng(1)
CENTRES = shape.standard_normal((400, 64))
W1 = shape.standard_normal((64, 256)) / 8
W2 = shape.standard_normal((256, DIMENSIONS)) / 16
WORDS = ["".join(shape.choice(list("abcdefghijklmnoprstuvwz"), shape.integers(3, 11))) for _ in range(20_000)]


def vectors(count, random):
    z = 0.5 * CENTRES[random.integers(0, len(CENTRES), count)] + random.standard_normal((count, 64))
    x = numpy.tanh(1.2 * z @ W1) @ W2
    return (x / numpy.linalg.norm(x, axis=1, keepdims=True)).astype(numpy.float32)


def texts(count, random):
    """Some 60 words each, some of them far more frequent than others."""
    words = numpy.minimum(random.zipf(1.3, (count, 60)), len(WORDS)) - 1
    return [" ".join(WORDS[word] for word in line) for line in words]


def identifier(kind, number):
    return uuid.UUID(bytes=hashlib.md5(f"{kind} {number}".encode()).digest())


class Corpus:
    """Project 0 is the large one. Chunks are numbered through all projects."""

    def __init__(self, chunks):
        self.large = chunks // 3
        self.small = (chunks - self.large) // SMALL_PROJECTS
        self.projects = range(SMALL_PROJECTS + 1)
        self.chunks = self.large + SMALL_PROJECTS * self.small

    def span(self, project):
        first = self.large + (project - 1) * self.small if project else 0
        return first, first + (self.small if project else self.large)

    def batches(self, project):
        """(number of the first chunk, vectors, source of randomness for what else they have)"""
        first, end = self.span(project)
        for start in range(first, end, BATCH):
            count = min(BATCH, end - start)
            random = numpy.random.default_rng([2, project, start - first])
            yield start, vectors(count, random), random

    def compare(self, queries):
        """Every chunk with every query. The vectors themselves may be more than memory holds beside the database."""
        self.similarities = numpy.concatenate([part @ queries.T for project in self.projects for _, part, _ in self.batches(project)])

    def load(self, owner):
        """Fills matrice's tables as a client's inserts would."""
        copy(owner, "matrice.projects (id, name, settings)",
             ((identifier("project", p), f"project {p}", '{"language": "english"}') for p in self.projects))
        copy(owner, "matrice.context_sources (id, project_id, name)",
             ((self.source(p, part * CHUNKS_OF_A_SOURCE), identifier("project", p), f"source {p}.{part}")
              for p in self.projects for part in range((len(range(*self.span(p))) - 1) // CHUNKS_OF_A_SOURCE + 1)))
        for project in self.projects:
            for start, part, random in self.batches(project):
                self.load_chunks(owner, project, start, texts(len(part), random))
                load_vectors(owner, start, part)

    def load_chunks(self, owner, project, start, contents):
        first, _ = self.span(project)
        copy(owner, "matrice.source_chunks (id, source_id, chunk_index, content, metadata)", (
            (identifier("chunk", number), self.source(project, number - first), (number - first) % CHUNKS_OF_A_SOURCE, content,
             json.dumps({"page": number % 300, "tags": [tag for tag in TAGS if number in self.tagged(tag)]}))
            for number, content in enumerate(contents, start)))

    def source(self, project, place):
        return identifier("source", f"{project} {place // CHUNKS_OF_A_SOURCE}")

    def tagged(self, tag):
        """The numbers of the chunks that carry a tag."""
        return range(7, self.large, TAGS[tag] or self.large)

    def nearest(self, numbers, query, count):
        """Of the chunks of these numbers the nearest to the query of that number, truly."""
        numbers = numpy.concatenate([numpy.asarray(some) for some in numbers])
        similarities = self.similarities[numbers, query]
        best = numpy.argpartition(-similarities, min(count, len(numbers) - 1))[:count]
        return {identifier("chunk", number) for number in numbers[best]}


def load_vectors(owner, start, part):
    """In COPY's binary format, where a vector is its dimensions, a zero, and its numbers."""
    rows = numpy.empty(len(part), numpy.dtype([
        ("fields", ">i2"), ("chunk_size", ">i4"), ("chunk", "V16"), ("embedding_size", ">i4"), ("dimensions", ">i2"), ("zero", ">i2"),
        ("embedding", ">f4", DIMENSIONS)]))
    rows["fields"], rows["chunk_size"], rows["embedding_size"] = 2, 16, 4 + 4 * DIMENSIONS
    rows["dimensions"], rows["zero"], rows["embedding"] = DIMENSIONS, 0, part
    rows["chunk"] = numpy.frombuffer(b"".join(identifier("chunk", start + i).bytes for i in range(len(part))), "V16")
    with owner.cursor().copy("copy matrice.chunk_embeddings (chunk_id, embedding) from stdin (format binary)") as stream:
        stream.write(b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff")


def copy(owner, target, rows):
    with owner.cursor().copy(f"copy {target} from stdin") as stream:
        for row in rows:
            stream.write_row(row)
