"""The chunks that the retrieval benchmark searches: 1,000 small projects and a large one, a third of all chunks.

Their vectors have the neighbourhoods of real embeddings, between uniform noise, where nothing is near, and tight
clusters, where everything is found: pgvector's HNSW finds some 0.7 of the true ten nearest by its defaults.
"""

import hashlib
import uuid

import numpy

DIMENSIONS = 1536
SMALL_PROJECTS = 1000
BATCH = 10_000
MODEL = "text-embedding-3-small"
# What filters look for in the large project: so many of its chunks carry the tag.
TAGS = {"1 %": 0.01, "0.1 %": 0.001, "1 row": 0}

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
    """Project 0 is the large one."""

    def __init__(self, chunks):
        self.large = chunks // 3
        self.small = (chunks - self.large) // SMALL_PROJECTS
        self.vectors = {}

    def size(self, project):
        return self.small if project else self.large

    def first(self, project):
        """Chunks are numbered through all projects."""
        return self.large + (project - 1) * self.small if project else 0

    def load(self, owner, kept):
        """Fills matrice's tables as a client's inserts would; keeps the vectors of some projects."""
        numbers = range(SMALL_PROJECTS + 1)
        copy(owner, "matrice.projects (id, name, settings)",
             ((identifier("project", p), f"project {p}", '{"language": "english"}') for p in numbers))
        copy(owner, "matrice.context_sources (id, project_id, name)",
             ((identifier("source", p), identifier("project", p), f"source {p}") for p in numbers))
        for project in numbers:
            parts = []
            for start in range(0, self.size(project), BATCH):
                count = min(BATCH, self.size(project) - start)
                random = numpy.random.default_rng([2, project, start])
                part = vectors(count, random)
                self.load_chunks(owner, project, start, texts(count, random))
                self.load_vectors(owner, project, start, part)
                parts.append(part)
            if project in kept:
                self.vectors[project] = numpy.concatenate(parts)

    def load_chunks(self, owner, project, start, contents):
        copy(owner, "matrice.source_chunks (id, source_id, chunk_index, content, metadata)", (
            (identifier("chunk", self.first(project) + start + i), identifier("source", project), start + i, content,
             '{"page": %d, "tags": [%s]}' % ((start + i) % 300, ", ".join(f'"{tag}"' for tag in self.tags(project, start + i))))
            for i, content in enumerate(contents)))

    def tags(self, project, index):
        return [tag for tag, share in TAGS.items() if project == 0 and index % max(1, round(1 / share) if share else self.large) == 7]

    def load_vectors(self, owner, project, start, part):
        """As COPY's binary format: a vector is its dimensions, a zero, and its numbers, all big-endian."""
        rows = numpy.empty(len(part), numpy.dtype([
            ("fields", ">i2"), ("chunk_size", ">i4"), ("chunk", "V16"), ("embedding_size", ">i4"), ("dimensions", ">i2"), ("zero", ">i2"),
            ("embedding", ">f4", DIMENSIONS)]))
        rows["fields"], rows["chunk_size"], rows["embedding_size"] = 2, 16, 4 + 4 * DIMENSIONS
        rows["dimensions"], rows["zero"], rows["embedding"] = DIMENSIONS, 0, part
        ids = b"".join(identifier("chunk", self.first(project) + start + i).bytes for i in range(len(part)))
        rows["chunk"] = numpy.frombuffer(ids, "V16")
        with owner.cursor().copy("copy matrice.chunk_embeddings (chunk_id, embedding) from stdin (format binary)") as stream:
            stream.write(b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff")

    def nearest(self, projects, query, count, among=None):
        """The true answer: identifiers of the nearest chunks, and their cosine similarities."""
        found = []
        for project in projects:
            similarities = self.vectors[project] @ query
            allowed = numpy.arange(len(similarities)) if among is None else among
            best = allowed[numpy.argsort(-similarities[allowed])[:count]]
            found += [(-similarities[i], identifier("chunk", self.first(project) + i)) for i in best]
        return {chunk for _, chunk in sorted(found)[:count]}


def copy(owner, target, rows):
    with owner.cursor().copy(f"copy {target} from stdin") as stream:
        for row in rows:
            stream.write_row(row)
