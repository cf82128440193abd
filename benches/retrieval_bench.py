"""Search as members of projects against pgvector's own index, and against the seed's policies with Supabase's guide.

BENCH_CHUNKS scales it. BENCH_REUSE=1 measures the database of the run before again. BENCH_PARTS names some of its parts: search,
sets, which is recall on vectors of many kinds, words, which is search_chunks in projects without embeddings, and large, which is
projects of very many embeddings: BENCH_LARGE names their sizes, and BENCH_KINDS some of real, own and random vectors. It runs only if it is named.
"""

import json
import os
import sys
import time
import uuid

import numpy
import psycopg

import harness
from corpus import (
    CHUNKS_OF_A_SOURCE,
    TAGS,
    WORDS,
    Corpus,
    copy,
    identifier,
    texts,
    vectors,
)

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tests"))
import large_projects
import vector_sets

NAME = "bench_retrieval"
CHUNKS = int(os.environ.get("BENCH_CHUNKS", 150_000))
QUERIES = 200
SMALL_ONES = [1, 2, 3, 4, 5]
LARGE, MANY = 0, [0, *SMALL_ONES]
MEMBER = uuid.UUID(int=1)
MODEL = "text-embedding-3-small"
EF_SEARCH = [40, 100, 200, 300, 400, 500, 600, 800, 1000]
# A plan for each query: with hnsw.ef_search above some hundreds the planner would rather sort the whole table.
BY_INDEX = "set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off"
UNFILTERED = f"""select chunk_id from matrice.chunk_embeddings where model = '{MODEL}'
                  order by embedding::vector(1536) <=> %s::vector(1536) limit 10"""


def build(corpus):
    owner = harness.database(NAME)
    started = time.perf_counter()
    corpus.load(owner)
    loaded = time.perf_counter()
    # The graph in memory, or building it takes many times as long.
    owner.execute(f"set maintenance_work_mem = '{1 + corpus.chunks // 100_000}GB'; select matrice_private.build_embedding_index()")
    built = time.perf_counter()
    owner.execute("create table built as select %s::real as load_seconds, %s::real as hnsw_seconds", [loaded - started, built - loaded])
    owner.execute("insert into matrice.user_projects select %s, unnest(%s::uuid[]), 'viewer'",
                  [MEMBER, [identifier("project", p) for p in MANY]])
    # Policies as the seed writes them, for a role that has no others; and the function of Supabase's guide.
    if not owner.execute("select 1 from pg_roles where rolname = 'bench_seed'").fetchone():
        owner.execute("create role bench_seed")
    owner.execute("""
        create schema seed;
        create table seed.user_projects as select * from matrice.user_projects;
        create index on seed.user_projects (user_id);
        create function seed.uid() returns uuid language sql stable as
          $$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
        create policy seed on matrice.chunk_embeddings for select to bench_seed
          using (project_id in (select project_id from seed.user_projects where user_id = seed.uid()));
        create function seed.match_documents(query_embedding vector(1536), match_threshold float, match_count int)
        returns table (chunk_id uuid, similarity float) language sql stable as $$
          select e.chunk_id, 1 - (e.embedding::vector(1536) <=> query_embedding)
            from matrice.chunk_embeddings e
           where e.model = 'text-embedding-3-small' and 1 - (e.embedding::vector(1536) <=> query_embedding) > match_threshold
           order by e.embedding::vector(1536) <=> query_embedding
           limit match_count $$;
        grant usage on schema matrice, matrice_private, seed to bench_seed;
        grant select on matrice.chunk_embeddings, seed.user_projects to bench_seed;
    """)
    owner.execute("vacuum analyze")
    return owner


def as_seed():
    connection = psycopg.connect(dbname=NAME, autocommit=True)
    connection.execute("select set_config('request.jwt.claims', %s, false)", [json.dumps({"sub": str(MEMBER)})])
    connection.execute("set role bench_seed")
    return connection


def with_ef_search(ef_search):
    connection = psycopg.connect(dbname=NAME, autocommit=True)
    connection.execute(f"set jit = off; set hnsw.ef_search = {ef_search}; {BY_INDEX}")
    return connection


def measured(call, truths):
    """Fewest rows, whether always as many as there are, and recall."""
    connection, query, arguments = call
    found = [{row[0] for row in connection.execute(query, given).fetchall()} for given in arguments]
    rows = [len(some) for some in found]
    recall = numpy.mean([len(some & truth) / len(truth) for some, truth in zip(found, truths)])
    return f"{min(rows)}–{max(rows)}", "yes" if rows == [len(truth) for truth in truths] else "no", float(recall)


def hnsw_of_recall(least, texts, truths):
    for ef_search in EF_SEARCH:
        call = with_ef_search(ef_search), UNFILTERED, [[text] for text in texts]
        recall = measured(call, truths)[2]
        if recall >= least or ef_search == EF_SEARCH[-1]:
            return ef_search, call


def searches(corpus, member, texts):
    """{label: (call, true answers)} for each search of a member."""
    large = identifier("project", LARGE)
    match = "select chunk_id from matrice.match_chunks(%s::vector, %s)"
    everything = "select chunk_id from matrice.match_chunks(%s::vector)"
    filtered = "select chunk_id from matrice.match_chunks(%s::vector, %s, filter => %s)"
    of = lambda projects: [range(*corpus.span(p)) for p in projects]
    small = [SMALL_ONES[i % len(SMALL_ONES)] for i in range(len(texts))]
    calls = {
        "a small project": ((member, match, [[t, identifier("project", p)] for t, p in zip(texts, small)]),
                            [corpus.nearest(of([p]), q, 10) for q, p in enumerate(small)]),
        "the large project": ((member, match, [[t, large] for t in texts]), [corpus.nearest(of([LARGE]), q, 10) for q in range(len(texts))]),
        "all of the caller's": ((member, everything, [[t] for t in texts]), [corpus.nearest(of(MANY), q, 10) for q in range(len(texts))]),
    }
    for tag in TAGS:
        calls[f"the large one, filter {tag}"] = (
            (member, filtered, [[t, large, json.dumps({"tags": [tag]})] for t in texts]),
            [corpus.nearest([corpus.tagged(tag)], q, 10) for q in range(len(texts))])
    return calls


def hybrid_and_context(member, texts):
    large, small = identifier("project", LARGE), identifier("project", SMALL_ONES[0])
    random = numpy.random.default_rng(9)
    # As people ask: five to ten words, one or two of them in most chunks, the others as frequent as those of a text.
    words = [" ".join([WORDS[random.integers(10)], *(WORDS[min(word, len(WORDS)) - 1] for word in random.zipf(1.3, random.integers(4, 10)))])
             for _ in texts]
    calls = {
        "search_chunks in a small project": (member, "select chunk_id from matrice.search_chunks(%s, %s)", [[w, small] for w in words]),
        "match_chunks": (member, "select chunk_id from matrice.match_chunks(%s::vector, %s)", [[t, large] for t in texts]),
        "search_chunks": (member, "select chunk_id from matrice.search_chunks(%s, %s)", [[w, large] for w in words]),
        "hybrid_search": (member, "select chunk_id from matrice.hybrid_search(%s, %s::vector, %s)", [[w, t, large] for w, t in zip(words, texts)]),
        "hybrid_search of 50": (member, "select chunk_id from matrice.hybrid_search(%s, %s::vector, %s, 50)", [[w, t, large] for w, t in zip(words, texts)]),
        "build_context of 8,000 tokens": (member, "select token_count from matrice.build_context(%s, %s::vector, %s, 8000)", [[w, t, large] for w, t in zip(words, texts)]),
    }
    took = harness.medians_ms(calls, runs=100)
    slower = max(took["match_chunks"], took["search_chunks"])
    tokens = [member.execute(calls["build_context of 8,000 tokens"][1], given).fetchone()[0] for given in calls["build_context of 8,000 tokens"][2][:20]]
    harness.table(["call in the large project", "ms", "compared"], [
        ["match_chunks", took["match_chunks"], ""], ["search_chunks, 5 to 10 words", took["search_chunks"], ""],
        ["search_chunks in a small project", took["search_chunks in a small project"], ""],
        ["hybrid_search", took["hybrid_search"], f"{took['hybrid_search'] / slower:.2f} × the slower of the two"],
        ["hybrid_search of 50", took["hybrid_search of 50"], ""],
        ["build_context of 8,000 tokens", took["build_context of 8,000 tokens"],
         f"{took['build_context of 8,000 tokens'] - took['hybrid_search of 50']:.2f} ms more; {min(tokens)}–{max(tokens)} tokens"]])


def storage(owner):
    chunks, vectors_, indexes, codes, hnsw, filters, words = owner.execute("""
        select (select count(*) from matrice.source_chunks), pg_table_size('matrice.chunk_embeddings'),
               pg_indexes_size('matrice.chunk_embeddings') - pg_relation_size('matrice.idx_embeddings_approximate'),
               (select sum(pg_total_relation_size(c)) from unnest('{code_lists,code_pages,code_cells,code_deletions}'::text[]) t, to_regclass('matrice_private.' || t) c),
               pg_relation_size('matrice.idx_embeddings_approximate'), pg_relation_size('matrice.idx_chunks_filterable'),
               (select sum(pg_total_relation_size(c)) from unnest('{word_segments,word_blocks,word_deletions}'::text[]) t, to_regclass('matrice_private.' || t) c)
    """).fetchone()
    load, build_ = owner.execute("select * from built").fetchone()
    harness.table(["what", "bytes a chunk", "seconds to build"], [
        ["vectors and their table", vectors_ // chunks, ""], ["its indexes", indexes // chunks, "none: kept at each insert"],
        ["the index of codes", int(codes) // chunks, "none"],
        ["idx_chunks_filterable", filters // chunks, "none"], ["the word index", int(words) // chunks, "none"],
        ["pgvector's HNSW, for comparison", hnsw // chunks, f"{build_:.0f}"], ["loading all of it", "", f"{load:.0f}"]])


def recall_by_set():
    """Each set in a project of its own, searched by a member."""
    name, counts, asked = "bench_sets", [1, 3, 10, 100], 100
    own = int(os.environ.get("BENCH_SET", 50_000))
    sets = {**vector_sets.all_sets(), f"the benchmark's own, {own:,}": (vectors(own, numpy.random.default_rng(5)), vectors(QUERIES, numpy.random.default_rng(7)))}
    owner = harness.database(name)
    for of, (stored, _) in sets.items():
        project = vector_sets.load(owner, of, stored)
        owner.execute("insert into matrice.user_projects values (%s, %s, 'viewer')", [MEMBER, project])
    owner.execute("vacuum analyze")
    member = harness.signed_in(name, MEMBER)
    rows = []
    for of, (stored, queries) in sets.items():
        project, queries = vector_sets.identifier("project", of), queries[:asked]
        texts = [vector_sets.as_text(query) for query in queries]
        similar = vector_sets.similarities(stored, queries)
        number = {vector_sets.identifier("chunk", of, place): place for place in range(len(stored))}
        recalls = []
        for count in counts:
            search = "select chunk_id from matrice.match_chunks(%s::vector, %s, %s)"
            found = [[number[row[0]] for row in member.execute(search, [text, project, count]).fetchall()] for text in texts]
            recalls.append(float(numpy.mean([vector_sets.recall(row, some, count) for row, some in zip(similar, found)])))
        said = member.execute("select recall from matrice.search_recall(%s, 40)", [project]).fetchone()[0]
        calls = {"match": (member, "select chunk_id from matrice.match_chunks(%s::vector, %s)", [[text, project] for text in texts]),
                 "scan": (owner, "select chunk_id from matrice.chunk_embeddings where project_id = %s and model = %s order by embedding <=> %s::vector, 1 limit 10",
                          [[project, vector_sets.model_of(stored), text] for text in texts])}
        took = harness.medians_ms(calls, runs=30, warm_up=3)
        rows.append([of, f"{len(stored):,} × {stored.shape[1]}", *(f"{value:.4f}" for value in recalls), f"{said:.4f}",
                     took["match"], took["scan"]])
    harness.table(["set", "vectors", *(f"recall@{count}" for count in counts), "search_recall", "match_chunks, ms", "all vectors, ms"], rows)


def load_texts(owner, size):
    """A project of so many chunks without embeddings, which the member reads."""
    project = identifier("project", f"of {size}")
    copy(owner, "matrice.projects (id, name, settings)", [(project, f"{size} chunks", '{"language": "english"}')])
    owner.execute("insert into matrice.user_projects values (%s, %s, 'viewer')", [MEMBER, project])
    random = numpy.random.default_rng(size)
    for first in range(0, size, CHUNKS_OF_A_SOURCE):
        source = identifier("source", f"{first} of {size}")
        copy(owner, "matrice.context_sources (id, project_id, name)", [(source, project, str(first))])
        copy(owner, "matrice.source_chunks (source_id, chunk_index, content)",
             ((source, place, text) for place, text in enumerate(texts(min(CHUNKS_OF_A_SOURCE, size - first), random))))
    return project


def words_alone():
    """Questions whose words are drawn as those of the texts are, so some are in most chunks; and of the most frequent words only."""
    name = "bench_words"
    owner = harness.database(name)
    random = numpy.random.default_rng(11)
    drawn = [" ".join(WORDS[word] for word in numpy.minimum(random.zipf(1.3, random.integers(5, 11)), len(WORDS)) - 1) for _ in range(100)]
    frequent = [" ".join(random.choice(WORDS[:20], 7)) for _ in range(100)]
    projects = {size: load_texts(owner, size) for size in (100, 50_000, int(os.environ.get("BENCH_LARGEST", 333_000)))}
    owner.execute("vacuum analyze")
    member = harness.signed_in(name, MEMBER)
    call = "select chunk_id from matrice.search_chunks(%s, %s)"
    took = harness.medians_ms({(size, kind): (member, call, [[query, project] for query in queries])
                               for size, project in projects.items() for kind, queries in (("drawn", drawn), ("frequent", frequent))}, runs=100)
    harness.table(["chunks of the project", "5 to 10 words, ms", "7 of the 20 most frequent words, ms"],
                  [[f"{size:,}", took[size, "drawn"], took[size, "frequent"]] for size in projects])


def main():
    parts = os.environ.get("BENCH_PARTS", "search sets words").split()
    if "words" in parts:
        words_alone()
    if "sets" in parts:
        recall_by_set()
    if "search" in parts:
        search()
    if "large" in parts:
        large_projects.measure([int(size) for size in os.environ.get("BENCH_LARGE", "333000 3000000").split()],
                               os.environ.get("BENCH_KINDS", "").split())


def search():
    corpus = Corpus(CHUNKS)
    owner = psycopg.connect(dbname=NAME, autocommit=True) if os.environ.get("BENCH_REUSE") else build(corpus)
    queries = vectors(QUERIES, numpy.random.default_rng(7))
    texts = ["[" + ",".join(map(str, query.tolist())) + "]" for query in queries]
    member = harness.signed_in(NAME, MEMBER)
    corpus.compare(queries)
    everything = [corpus.nearest([range(corpus.chunks)], query, 10) for query in range(QUERIES)]

    calls = searches(corpus, member, texts)
    default = with_ef_search(40), UNFILTERED, [[text] for text in texts]
    ef_search, same_recall = hnsw_of_recall(0.99, texts, everything)
    guide = as_seed(), "select chunk_id from seed.match_documents(%s::vector(1536), -1, 10)", [[text] for text in texts]
    timed = {"pgvector": default, "pgvector 0.99": same_recall, **{label: call for label, (call, _) in calls.items()}, "guide": guide}
    took = harness.medians_ms(timed, runs=QUERIES)

    print(f"{corpus.chunks:,} chunks, {QUERIES} queries for the 10 nearest\n")
    rows = [["pgvector's HNSW, all chunks, no RLS, ef_search 40", *measured(default, everything), took["pgvector"], 1.0, took["pgvector"] / took["pgvector 0.99"]],
            [f"the same, ef_search {ef_search}", *measured(same_recall, everything), took["pgvector 0.99"], took["pgvector 0.99"] / took["pgvector"], 1.0]]
    rows += [[f"match_chunks, {label}", *measured(call, truths), took[label], took[label] / took["pgvector"], took[label] / took["pgvector 0.99"]]
             for label, (call, truths) in calls.items()]
    rows += [["the seed's policies and the guide's match_documents, all of the caller's", *measured(guide, calls["all of the caller's"][1]),
              took["guide"], took["guide"] / took["pgvector"], took["guide"] / took["pgvector 0.99"]]]
    harness.table(["search", "rows", "all there are", "recall", "ms", "× default HNSW", "× HNSW of recall 0.99"], rows)
    hybrid_and_context(member, texts)
    storage(owner)


main()
