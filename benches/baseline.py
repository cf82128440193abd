"""BM25 by a library, bm25s, over the same chunks: what full-text search is compared with."""

import logging
import re

import bm25s
import Stemmer
from bm25s import stopwords

# It logs each step of building an index.
logging.getLogger("bm25s").setLevel(logging.WARNING)

K1, B = 1.2, 0.75
# Chinese characters and Japanese kana, in which no spaces separate words.
UNSPACED_RUN = re.compile(r"[\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
STOP_WORDS = {
    "english": stopwords.STOPWORDS_EN_PLUS, "french": stopwords.STOPWORDS_FRENCH, "german": stopwords.STOPWORDS_GERMAN,
}


def words(text):
    return re.findall(r"\w+", text.lower())


def stems(language):
    """The Snowball stems of a text, without the stop words of the language."""
    stemmer, stop_words = Stemmer.Stemmer(language), set(STOP_WORDS[language])
    return lambda text: stemmer.stemWords([word for word in words(text) if word not in stop_words])


def pairs(text):
    """The pairs of neighbouring characters of text without spaces, and the words of the rest."""
    found = words(UNSPACED_RUN.sub(" ", text))
    for run in UNSPACED_RUN.findall(text):
        found += [run[place:place + 2] for place in range(max(len(run) - 1, 1))]
    return found


def analysers(language):
    """{name: function that makes a text's tokens} for a text search configuration; "simple" is Chinese and Japanese here."""
    return {"pairs of characters": pairs, "words": words} if language == "simple" else {"stems": stems(language), "words": words}


class Index:
    """An index of chunks. A search returns the sources of the best chunks, best first, one for each chunk."""

    def __init__(self, chunks, analyser):
        """`chunks` are (source, content)."""
        self.sources = [source for source, _ in chunks]
        self.analyser = analyser
        self.index = bm25s.BM25(method="lucene", k1=K1, b=B)
        self.index.index([analyser(content) for _, content in chunks], show_progress=False)

    def search(self, queries, count=10):
        chunks, scores = self.index.retrieve([self.analyser(query) for query in queries], k=min(count, len(self.sources)),
                                             show_progress=False)
        return [[self.sources[chunk] for chunk, score in zip(*found) if score > 0] for found in zip(chunks, scores)]
