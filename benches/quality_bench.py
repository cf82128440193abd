"""How well each search finds the section of a real manual by its heading, with a real model that works offline.

The manual is PostgreSQL's (Debian: postgresql-doc-15). Every section is a source, without its heading; the heading is the query.
"""

import os
import random
import re
import sys
import uuid
from html.parser import HTMLParser
from pathlib import Path

from psycopg.types.json import Jsonb

import harness

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "scripts"))
import embedder

NAME = "bench_quality"
MEMBER = uuid.UUID(int=1)
QUERIES = 500


class Sections(HTMLParser):
    """(heading, text) of each section of a page that has a text of its own."""

    def __init__(self, html):
        super().__init__()
        self.found, self.in_title, self.skipped = [], False, 0
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        names = (dict(attributes).get("class") or "").split()
        if tag in ("h2", "h3", "h4") and "title" in names:
            self.in_title = True
            self.found.append(["", ""])
        elif tag == "div" and (self.skipped or {"toc", "navheader", "navfooter"} & set(names)):
            self.skipped += 1

    def handle_endtag(self, tag):
        if tag in ("h2", "h3", "h4"):
            self.in_title = False
        elif tag == "div" and self.skipped:
            self.skipped -= 1
        elif tag in ("p", "pre", "dt", "dd", "li", "tr") and self.found:
            self.found[-1][1] += "\n\n"

    def handle_data(self, data):
        if self.found and not self.skipped:
            self.found[-1][0 if self.in_title else 1] += data

    def all(self):
        for heading, text in self.found:
            heading = re.sub(r"^[\dA-Z.]*\d+\.\s*", "", " ".join(heading.split()))
            text = re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+", " ", text)).strip()
            if len(heading.split()) >= 2 and len(text.split()) >= 40:
                yield heading, text


def main():
    sections = [section for page in sorted(Path("/usr/share/doc").glob("postgresql-doc-*/html/*.html"))
                for section in Sections(page.read_text(encoding="utf-8")).all()]
    headings = [heading for heading, _ in sections]
    model = embedder.Offline()
    owner = harness.database(NAME)
    owner.execute("insert into matrice.embedding_models (model, dimensions) values (%s, %s)", [model.model, model.dimensions])
    member = harness.signed_in(NAME, MEMBER)
    project = member.execute("select matrice.create_project('Manual', settings => %s)",
                             [Jsonb({"language": "english", "embedding_model": model.model})]).fetchone()[0]
    sources = [member.execute("select matrice.ingest_source(%s, %s, %s, max_tokens => 256, overlap_tokens => 32)",
                              [project, f"section {number}", text]).fetchone()[0] for number, (_, text) in enumerate(sections)]
    chunks = 0
    while claimed := member.execute("select chunk_id, content from matrice.claim_chunks(batch_size => 512, project_id => %s)", [project]).fetchall():
        ids, contents = zip(*claimed)
        chunks += len(ids)
        member.execute("select matrice.store_embeddings(%s, %s, %s)", [model.model, list(ids), Jsonb(model.embed(list(contents)))])
    owner.execute("vacuum analyze")
    unique = [number for number, heading in enumerate(headings) if headings.count(heading) == 1]
    asked = random.Random(1).sample(unique, min(QUERIES, len(unique)))
    embeddings = model.embed([headings[number] for number in asked])
    queries = [{"query_text": headings[number], "query_embedding": embedding, "relevant": {str(sources[number]): 1}}
               for number, embedding in zip(asked, embeddings)]
    print(f"{len(sections)} sections, {chunks} chunks, {len(queries)} headings as queries, {model.model}\n")
    rows = member.execute("select search, recall, mrr, ndcg from matrice.evaluate_search(%s, %s)", [Jsonb(queries), project]).fetchall()
    harness.table(["search", "recall@10", "MRR", "nDCG@10"], [[name, *(f"{value:.3f}" for value in values)] for name, *values in rows])
    found = member.execute("select query_count, recall from matrice.search_recall(%s, 200)", [project]).fetchone()
    print(f"search_recall: {found[1]:.4f} of the ten nearest for {found[0]} queries")


main()
