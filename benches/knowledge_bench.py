"""What pillars, insights, exports and events cost.

BENCH_INSIGHTS, BENCH_EXPORTED and BENCH_MEGABYTES scale it.
"""

import os
import random
import statistics
import threading
import time
import uuid
from pathlib import Path

import harness
import manuals

NAME = "bench_knowledge"
MEMBER = uuid.UUID(int=7)
INSIGHTS = int(os.environ.get("BENCH_INSIGHTS", 100_000))
EXPORTED = int(os.environ.get("BENCH_EXPORTED", 1_000_000))
MEGABYTES = int(os.environ.get("BENCH_MEGABYTES", 2))
QUESTIONS = ["how are deadlocks between transactions found", "vacuum of tables with many dead rows", "which locks does an index build take",
             "replication slots and the disk", "memory of sorts and hashes"]


def new_project(member):
    return member.execute("select matrice.create_project('Knowledge')").fetchone()[0]


def sentences():
    """Sentences of PostgreSQL's manual, each once."""
    seen = {}
    for _, text in manuals.load("postgresql-en", 1).sections:
        for sentence in text.replace("\n", " ").split(". "):
            if 40 <= len(sentence) <= 400:
                seen.setdefault(sentence.strip().lower(), sentence.strip())
    return list(seen.values())


def pillars(owner, member):
    """A pillar of 4 kB is saved with its history, and an equal row of an equal table is updated."""
    project = new_project(member)
    owner.execute("create table plain (like matrice.pillars including all)")
    owner.execute("insert into plain select * from matrice.pillars where project_id = %s", [project])
    owner.execute("grant select, update on plain to authenticated")
    texts = [f"{n} " + "What the product is for. " * 160 for n in range(50)]
    took = harness.medians_ms({
        "plain UPDATE": (member, "update public.plain set content = %s where project_id = %s and code = 'P1' returning 1",
                         [[text, project] for text in texts]),
        "UPDATE of matrice.pillars": (member, "update matrice.pillars set content = %s where project_id = %s and code = 'P1' returning 1",
                                      [[text, project] for text in texts]),
        # Another pillar: a save of the same text again makes no version.
        "save_pillar": (member, "select matrice.save_pillar(content => %s, project_id => %s, code => 'P2')", [[text, project] for text in texts]),
    }, runs=301)
    harness.table(["call", "ms", "times the plain UPDATE"], [[name, ms, ms / took["plain UPDATE"]] for name, ms in took.items()])


def load_insights(owner, member, texts):
    """Statements of three sentences in a row, so that many have words in common, and no two have the same words."""
    project = new_project(member)
    draw = random.Random(3)
    started = time.perf_counter()
    for first in range(0, INSIGHTS, 5000):
        numbers = range(first, min(first + 5000, INSIGHTS))
        # One statement, because its triggers add up for all of its rows at once.
        owner.execute("insert into matrice.insights (project_id, type, title, content, confidence, is_recorded)"
                      " select %s, 'learning', t.title, t.content, 0.6, true from unnest(%s::text[], %s::text[]) t (title, content)",
                      [project, [f"Statement {n}" for n in numbers], [f"{' '.join(draw.sample(texts, 2))} ({n})" for n in numbers]])
    owner.execute("vacuum analyze matrice.insights")
    print(f"{INSIGHTS:,} insights inserted in {time.perf_counter() - started:.0f} s\n")
    return project


def insights(owner, member):
    texts = sentences()
    project = load_insights(owner, member, texts)
    fresh = [[project, f"New {n}", f"{texts[n]}; {texts[-n]}"] for n in range(1, 200)]
    record = "select matrice.record_insight(%s, 'learning', %s, %s, 0.7)"
    took = harness.medians_ms({
        "record_insight, a new one": (member, record, fresh),
        "record_insight, a known one": (member, record, fresh[:1]),
        "search_insights": (member, "select * from matrice.search_insights(%s, %s)", [[question, project] for question in QUESTIONS]),
    }, runs=21, warm_up=3)
    took |= harness.medians_ms({
        "insights_review": (member, "select * from matrice.insights_review(%s)", [project]),
        "known_at": (member, "select count(*) from matrice.known_at(%s, now())", [project]),
        "known_at, 1,000 rows": (member, "select * from matrice.known_at(%s, now(), match_count => 1000)", [project]),
    }, runs=3, warm_up=1)
    harness.table([f"among {INSIGHTS:,} insights", "ms"], [[name, ms] for name, ms in took.items()])


def anonymous_bytes(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


class Watch(threading.Thread):
    """The most private memory that a backend had meanwhile."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most, self.is_over = pid, 0, threading.Event()

    def run(self):
        while not self.is_over.wait(0.02):
            self.most = max(self.most, anonymous_bytes(self.pid))


def export(owner):
    """Chunks of 512 characters, without their triggers: what a restore does. The session is new."""
    member = harness.signed_in(NAME, MEMBER)
    project = new_project(member)
    owner.execute("set session_replication_role = replica")
    owner.execute("insert into matrice.context_sources (id, project_id, name)"
                  " select md5(%(project)s || g)::uuid, %(project)s::uuid, g::text from generate_series(0, %(chunks)s / 50000) g",
                  {"project": str(project), "chunks": EXPORTED})
    owner.execute("insert into matrice.source_chunks (source_id, project_id, chunk_index, content, token_count)"
                  " select md5(%(project)s || g / 50000)::uuid, %(project)s::uuid, g %% 50000, repeat(md5(g::text), 16), 300"
                  "   from generate_series(0, %(chunks)s - 1) g", {"project": str(project), "chunks": EXPORTED})
    owner.execute("reset session_replication_role")
    owner.execute("vacuum analyze matrice.source_chunks")
    rest = anonymous_bytes(member.info.backend_pid)
    watch = Watch(member.info.backend_pid)
    watch.start()
    started, size, lines = time.perf_counter(), 0, 0
    with member.cursor().copy("copy (select matrice.export_lines(%s)) to stdout", [project]) as copy:
        for block in copy:
            size += len(block)
            lines += bytes(block).count(b"\n")
    took = time.perf_counter() - started
    watch.is_over.set()
    watch.join()
    harness.table(["exported", "lines", "MB", "seconds", "memory above rest, MB"],
                  [[f"{EXPORTED:,} chunks", f"{lines:,}", size / 1e6, took, (watch.most - rest) / 1e6]])


def events(member, rounds=15):
    """The same text is ingested into a project that tells its changes, and into one that does not."""
    text = "\n\n".join(sentences())[: MEGABYTES * 1_000_000]
    projects = {"without events": new_project(member), "with events": new_project(member)}
    member.execute("update matrice.projects set settings = settings || '{\"events\": false}' where id = %s", [projects["without events"]])
    took = {name: [] for name in projects}
    for turn in range(rounds + 1):
        for name, project in projects.items():
            started = harness.processor_seconds(member)
            source = member.execute("select matrice.ingest_source(%s, 'document', %s)", [project, text]).fetchone()[0]
            if turn:
                took[name].append(harness.processor_seconds(member) - started)
            member.execute("delete from matrice.context_sources where id = %s", [source])
    middle = {name: statistics.median(times) for name, times in took.items()}
    harness.table([f"ingest_source of {MEGABYTES} MB", "processor seconds", "ratio"],
                  [[name, seconds, seconds / middle["without events"]] for name, seconds in middle.items()])


def main():
    owner = harness.database(NAME)
    member = harness.signed_in(NAME, MEMBER)
    pillars(owner, member)
    insights(owner, member)
    events(member)
    export(owner)


main()
