"""How well each search finds the sections of real manuals, with models that work offline.

Every section is a source, without its heading. The queries are headings, questions about them, and identifiers (manuals.py).
Full-text, semantic and hybrid search are measured by evaluate_search, and BM25 by a library (baseline.py) over the same chunks.
"""

import math
import os
import sys
import uuid

import numpy
import psycopg
from psycopg.types.json import Jsonb

import baseline
import harness
import manuals
import vectors

NAME = "bench_quality"
MEMBER = uuid.UUID(int=1)
FOUND = 10
CLAIMED = 128
SEARCHES = {"full_text": "full text", "semantic": "semantic", "hybrid": "hybrid"}


def measures(found, relevant):
    """Recall, reciprocal rank and nDCG of one query's results, as evaluate_search defines them: a source counts once, at its
    first chunk."""
    places = [place for place, source in enumerate(found, 1) if source in relevant and source not in found[:place - 1]]
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(len(relevant), FOUND) + 1))
    return (len(places) / min(len(relevant), FOUND), 1 / places[0] if places else 0,
            sum(1 / math.log2(place + 1) for place in places) / ideal)


def mean_measures(results, queries):
    return numpy.mean([measures(found, query.relevant) for found, query in zip(results, queries)], axis=0)


def ingest(member, model, chosen):
    """(project, source of each section) of a set that is stored and embedded."""
    project = member.execute("select matrice.create_project(%s, settings => %s)",
                             [chosen.name, Jsonb({"language": chosen.language, "embedding_model": model.model})]).fetchone()[0]
    sources = [member.execute("select matrice.ingest_source(%s, %s, %s, max_tokens => 256, overlap_tokens => 32)",
                              [project, f"section {number}", text]).fetchone()[0] for number, (_, text) in enumerate(chosen.sections)]
    while claimed := member.execute("select chunk_id, content from matrice.claim_chunks(batch_size => %s, project_id => %s)",
                                    [CLAIMED, project]).fetchall():
        ids, contents = zip(*claimed)
        member.execute("select matrice.store_embeddings(%s, %s, %s)", [model.model, list(ids), Jsonb(model.passages(list(contents)))])
    return project, sources


def totals(member, project, queries):
    """{search: sums of the measures over the queries}. A search that matrice refuses has found nothing."""
    try:
        rows = member.execute("select search, query_count, recall, mrr, ndcg from matrice.evaluate_search(%s, %s, %s)",
                              [Jsonb(queries), project, FOUND]).fetchall()
        return {search: count * numpy.array(values) for search, count, *values in rows}
    except psycopg.DataError:
        if len(queries) > 1:
            middle = len(queries) // 2
            halves = [totals(member, project, half) for half in (queries[:middle], queries[middle:])]
            return {search: sum(half.get(search, numpy.zeros(3)) for half in halves) for search in SEARCHES}
        words, rest = queries[0].get("query_text"), {key: queries[0][key] for key in ("query_embedding", "relevant")}
        return totals(member, project, [rest]) if words is not None else {}


def evaluated(member, model, project, sources, queries):
    """{search: means of the measures} by matrice."""
    labelled = [{"query_text": query.text, "query_embedding": embedding, "relevant": {str(sources[number]): 1 for number in query.relevant}}
                for query, embedding in zip(queries, model.queries([query.text for query in queries]))]
    sums = totals(member, project, labelled)
    return {name: sums.get(search, numpy.zeros(3)) / len(queries) for search, name in SEARCHES.items()}


def measure(owner, member, model, chosen):
    project, sources = ingest(member, model, chosen)
    owner.execute("vacuum analyze")
    numbers = {source: number for number, source in enumerate(sources)}
    chunks = [(numbers[source], content) for source, content in owner.execute(
        "select source_id, content from matrice.source_chunks where project_id = %s order by source_id, chunk_index", [project])]
    indexes = {name: baseline.Index(chunks, analyser) for name, analyser in baseline.analysers(chosen.language).items()}
    print(f"{chosen.name}: {len(chosen.sections)} sections, {len(chunks)} chunks, {model.model}\n")
    rows = []
    for form, queries in chosen.by_form().items():
        found = evaluated(member, model, project, sources, queries)
        found |= {f"BM25 by bm25s, {name}": mean_measures(index.search([query.text for query in queries], FOUND), queries)
                  for name, index in indexes.items()}
        rows += [[f"{form} ({len(queries)})", search, *(f"{value:.3f}" for value in values)] for search, values in found.items()]
    harness.table(["queries", "search", f"recall@{FOUND}", "MRR", f"nDCG@{FOUND}"], rows)
    count, recall = member.execute("select query_count, recall from matrice.search_recall(%s, 200)", [project]).fetchone()
    print(f"search_recall: {recall:.4f} of the ten nearest for {count} queries\n", flush=True)


def main():
    names = os.environ.get("QUALITY_SETS", " ".join(manuals.NAMES)).split()
    if unknown := set(names) - set(manuals.NAMES):
        sys.exit(f"QUALITY_SETS: no set is named {', '.join(sorted(unknown))}; the sets are {', '.join(manuals.NAMES)}")
    model = vectors.configured()
    owner = harness.database(NAME)
    owner.execute("insert into matrice.embedding_models (model, dimensions) values (%s, %s)", [model.model, model.dimensions])
    member = harness.signed_in(NAME, MEMBER)
    for name in names:
        chosen = manuals.load(name, int(os.environ.get("QUALITY_QUERIES", "500")))
        if chosen.sections:
            measure(owner, member, model, chosen)
        else:
            print(f"{name}: its Debian package is not installed\n")


main()
