"""A plain BM25 over the chunks that a transaction sees, to compare search_chunks with. It knows nothing of the word index.

It counts words by splitting texts at white space. So texts must consist of WORDS alone: none is a stop word, a compound or accented.
"""

import math
from collections import defaultdict
from dataclasses import dataclass

WORDS = ["amber", "birches", "cedars", "deltas", "embers", "fjord", "groves", "heath", "inlets", "jungles",
         "kettles", "lantern", "lanterns", "meadow", "meadows", "northern", "orchard", "orchards", "pebbles", "quarry"]
K1, B, AS_WRITTEN = 1.2, 0.75, 0.2


def stems(connection, languages=("simple", "english", "french")):
    """{language: {word: stem}}, by PostgreSQL's own dictionaries."""
    return {language: dict(connection.execute(
        "select w, (ts_lexize(%s::regdictionary, w))[1] from unnest(%s::text[]) w",
        [language if language == "simple" else f"{language}_stem", WORDS]).fetchall()) for language in languages}


@dataclass
class Query:
    """Any of the words, or all of them; and none of the excluded ones."""

    words: list
    excluded: tuple = ()
    mode: str = "any"

    @property
    def text(self):
        return " ".join([*self.words, *(f"-{word}" for word in self.excluded)])

    def scores(self, texts, stem):
        """{id: score} of the texts that match, {id: content} being all texts of one project and language."""
        counted = {id: content.split() for id, content in texts.items()}
        length = sum(map(len, counted.values())) / len(counted)
        having = {term: sum(any(stem[word] == stem[term] for word in words) for words in counted.values()) for term in self.words}
        found = {}
        for id, words in counted.items():
            matches = [any(stem[word] == stem[term] for word in words) for term in self.words]
            if not (all(matches) if self.mode == "all" else any(matches)):
                continue
            if any(stem[word] == stem[term] for word in words for term in self.excluded):
                continue
            saturated = lambda n, words=words: n * (K1 + 1) / (n + K1 * (1 - B + B * len(words) / length))
            found[id] = sum(
                math.log(1 + (len(texts) - having[term] + 0.5) / (having[term] + 0.5))
                * (saturated(sum(stem[word] == stem[term] for word in words)) + AS_WRITTEN * saturated(words.count(term)))
                for term in set(self.words))
        return found


def random_query(rng):
    mode = rng.choice(["any", "any", "all"])
    words = rng.sample(WORDS, rng.choice([1, 2, 3]))
    return Query(words, tuple(w for w in rng.sample(WORDS, rng.choice([0, 0, 1])) if w not in words), mode)


def visible_texts(connection):
    """{(project, language): {id: content}}. How a chunk was analysed stands in its fts."""
    texts = defaultdict(dict)
    for project, language, id, content in connection.execute(
            "select project_id, split_part((tsvector_to_array(fts))[1], ' ', 2), id, content from matrice.source_chunks").fetchall():
        texts[project, language][id] = content
    return texts


def difference(connection, query, project, texts, stem, match_count=10_000):
    """What search_chunks finds otherwise than the plain BM25; None if nothing."""
    scores = {}
    for (of, language), group in texts.items():
        if project in (None, of):
            scores.update(query.scores(group, stem[language]))
    rows = connection.execute("select chunk_id, rank from matrice.search_chunks(%s, %s, match_count => %s, words => %s)",
                              [query.text, project, match_count, query.mode]).fetchall()
    found = dict(rows)
    if len(rows) != len(found):
        return f"{query}: a chunk twice in {rows}"
    if len(rows) != min(match_count, len(scores)) or not found.keys() <= scores.keys():
        return f"{query} in {project}: not found {scores.keys() - found.keys()}, wrongly found {found.keys() - scores.keys()}"
    wrong = {id: (rank, scores[id]) for id, rank in rows if abs(rank - scores[id]) > 1e-5 * scores[id]}
    if wrong:
        return f"{query} in {project}: found, and right {wrong}"
    # Scores that are equal but for rounding stand in any order.
    order = [scores[id] for id, _ in rows]
    if any(later > earlier + 1e-9 for earlier, later in zip(order, order[1:])):
        return f"{query} in {project}: wrong order {rows}"
    if len(rows) < len(scores) and rows and max(s for id, s in scores.items() if id not in found) > order[-1] + 1e-9:
        return f"{query} in {project}: better ones left out"
    return None


def compare(connection, rng, projects, stem, queries=4):
    """Searches in one snapshot of their own. Returns how many texts there were, and the differences."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        texts = visible_texts(connection)
        wrong = []
        for _ in range(queries):
            project = rng.choice([*projects, None])
            if project is not None and not any(of == project for of, _ in texts):
                continue
            wrong.append(difference(connection, random_query(rng), project, texts, stem, rng.choice([10, 10_000])))
    return sum(map(len, texts.values())), [one for one in wrong if one]
