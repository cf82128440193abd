"""How fast tokens are counted and texts cut, beside what Rust and Python programs do it with."""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from html.parser import HTMLParser
from pathlib import Path
from statistics import median

import psycopg
import semchunk
import tiktoken
from langchain_text_splitters import RecursiveCharacterTextSplitter

import harness

ROOT = Path(__file__).resolve().parent.parent
NAME = "bench_tokens"
SIZE = 1_000_000
RUNS = int(os.environ.get("BENCH_RUNS", 9))
FIVE_WORDS = "five short words are here"
# As OpenAI's library has them.
PATTERNS = {
    "cl100k_base": r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s""",
    "o200k_base": "|".join([
        r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
        r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
        r"""\p{N}{1,3}""", r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""", r"""\s*[\r\n]+""", r"""\s+(?!\S)""", r"""\s+"""]),
}


# Texts ----------------------------------------------------------------------------------------------------------------


class Markdown(HTMLParser):
    """The markdown of a manual's page, as far as headings, lists, tables and code go."""

    def __init__(self):
        super().__init__()
        self.out, self.code = [], False

    def handle_starttag(self, tag, _):
        if tag == "pre":
            self.code = True
        marks = {"p": "\n\n", "pre": "\n\n```\n", "li": "\n- ", "tr": "\n|", "dt": "\n\n", "dd": "\n", "br": "\n",
                 **{f"h{level}": f"\n\n{'#' * level} " for level in range(1, 7)}}
        self.out.append(marks.get(tag, ""))

    def handle_endtag(self, tag):
        if tag == "pre":
            self.code = False
        self.out.append({"pre": "\n```\n", "td": " |", "th": " |", "p": "\n"}.get(tag, "\n\n" if tag[0] == "h" and tag[1:].isdigit() else ""))

    def handle_data(self, data):
        self.out.append(data if self.code else " ".join(data.split("\n")))


def manual(pattern):
    """1 MB of Debian's pages, from all over the manual."""
    files = sorted(Path("/usr/share").glob(pattern))
    step = max(1, sum(file.stat().st_size for file in files) // (3 * SIZE))
    pages = []
    for file in files[::step]:
        page = Markdown()
        page.feed(file.read_text(encoding="utf-8").partition("<body")[2].partition(">")[2])
        pages.append("".join(page.out))
    return cut("".join(pages))


def rust():
    return cut("".join(file.read_text(encoding="utf-8") for name in ("pgrx", "text-splitter", "tree-sitter", "proptest", "syn")
                       for file in sorted((crate(name) / "src").rglob("*.rs"))))


def cut(text):
    data = text.encode()
    assert len(data) >= SIZE, f"only {len(data)} bytes"
    return data[:SIZE].decode(errors="ignore")


def crate(name):
    return Path(next(package["manifest_path"] for package in METADATA["packages"] if package["name"] == name)).parent


METADATA = json.loads(subprocess.run(["cargo", "metadata", "--format-version=1", "--offline", "--manifest-path", ROOT / "Cargo.toml"],
                                     check=True, capture_output=True, text=True).stdout)


# Peers ----------------------------------------------------------------------------------------------------------------


class Native:
    """Rust crates, in a process that answers how long it counted."""

    def __init__(self, texts):
        self.folder = tempfile.TemporaryDirectory()
        for name, text in texts.items():
            (Path(self.folder.name) / name).write_text(text)
        self.process = subprocess.Popen([os.environ["BENCH_NATIVE"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def count(self, library, encoding, name):
        print(library, encoding, Path(self.folder.name) / name, file=self.process.stdin, flush=True)
        tokens, took = self.process.stdout.readline().split()
        return int(tokens), float(took)


def python_encoding(name):
    """tiktoken would download the vocabulary; tiktoken-rs has it."""
    lines = (crate("tiktoken-rs") / "assets" / f"{name}.tiktoken").read_text().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}
    return tiktoken.Encoding(name, pat_str=PATTERNS[name], mergeable_ranks=ranks, special_tokens={})


def timed(call):
    started = time.perf_counter()
    result = call()
    return result, (time.perf_counter() - started) * 1000


def medians(calls, runs=RUNS):
    """Medians of calls, made in turn, that return a result and the milliseconds it took; and the results."""
    results, times = {}, {name: [] for name in calls}
    for _ in range(runs + 1):
        for name, call in calls.items():
            results[name], took = call()
            times[name].append(took)
    return {name: median(taken[1:]) for name, taken in times.items()}, results


# What is measured -------------------------------------------------------------------------------------------------------


def counts(sql, texts):
    query = "select matrice.count_tokens(content, %s) from texts where name = %s"

    def new_session(encoding, name):
        """A text whose words the session has not met."""
        with psycopg.connect(dbname=NAME, autocommit=True) as connection:
            connection.execute("select matrice.count_tokens(%s, %s)", [FIVE_WORDS, encoding])
            return timed(lambda: connection.execute(query, [encoding, name]).fetchone()[0])

    native, rows = Native(texts), []
    encodings = {name: python_encoding(name) for name in PATTERNS}
    for name, text in texts.items():
        for encoding, python in encodings.items():
            took, tokens = medians({
                "sql": lambda: timed(lambda: sql(query, [encoding, name])),
                "new session": lambda: new_session(encoding, name),
                "core": lambda: native.count("matrice-core", encoding, name),
                "bpe": lambda: native.count("bpe-openai", encoding, name),
                "tiktoken-rs": lambda: native.count("tiktoken-rs", encoding, name),
                "python": lambda: timed(lambda: len(python.encode_ordinary(text))),
            })
            assert len(set(tokens.values())) == 1, f"{name}, {encoding}: {tokens}"
            ours = took["sql"]
            rows.append([f"{name}, {encoding}", SIZE / 1000 / ours, *took.values(),
                         took["bpe"] / ours, took["tiktoken-rs"] / ours, took["python"] / ours])
    print("count_tokens of 1 MB in SQL; medians in ms\n")
    harness.table(["text, encoding", "MB/s", "matrice", "a session's first", "matrice-core, native", "bpe-openai, native", "tiktoken-rs, native", "tiktoken, Python",
                   "× bpe-openai", "× tiktoken-rs", "× tiktoken"], rows)
    best, rs, py = ([row[column] for row in rows] for column in (8, 9, 10))
    print(f"bpe-openai: lowest {min(best):.2f} (bound 0.8). tiktoken-rs: median {median(rs):.1f}, lowest {min(rs):.1f};"
          f" tiktoken: median {median(py):.1f}, lowest {min(py):.1f} (bounds 6 and 4).\n")


def short_texts(sql):
    sql("create table short as select left(md5(i::text), 8) || ' and words ' || i % 10 as content from generate_series(1, 1000000) i", fetch=False)
    assert sql("select avg(length(content)) from short") == 20
    sql("vacuum analyze short", fetch=False)
    queries = {"nothing": "count(content)", "length": "sum(length(content))",
               **{encoding: f"sum(matrice.count_tokens(content, '{encoding}'))" for encoding in PATTERNS}}
    took, _ = medians({name: lambda what=what: timed(lambda: sql(f"select {what} from short")) for name, what in queries.items()})
    print("1,000,000 texts of 20 characters; medians in ms\n")
    harness.table(["query", "ms", "× length(content)", "× length(content), both without the scan"],
                  [[what, took[name], took[name] / took["length"], (took[name] - took["nothing"]) / (took["length"] - took["nothing"])]
                   for name, what in queries.items()])


def first_calls(preloaded):
    rows = []
    for label, options in (("without", {}), ("with", preloaded)):
        for encoding in PATTERNS:
            took, memory = [], []
            for _ in range(21):
                with psycopg.connect(dbname=NAME, autocommit=True, **options) as connection:
                    query = f"select matrice.count_tokens('{FIVE_WORDS}', '{encoding}')"
                    backend = connection.execute("select pg_backend_pid()").fetchone()[0]
                    before = private_kb(backend)
                    _, first = timed(lambda: connection.execute(query).fetchone())
                    memory.append(private_kb(backend) - before)
                    _, second = timed(lambda: connection.execute(query).fetchone())
                    took.append(first - second)
            rows.append([f"{label} shared_preload_libraries, {encoding}", median(took), median(memory) / 1000])
    print("The first call of a new connection, beyond what the second takes; medians\n")
    harness.table(["connection", "ms", "private memory it adds, MB"], rows)


def private_kb(process):
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def chunks(sql, texts):
    python = python_encoding("cl100k_base")
    count = lambda text: len(python.encode_ordinary(text))
    rows, runs = [], max(3, RUNS // 2)
    for name, text in texts.items():
        for overlap in (0, 64):
            ours = lambda format: lambda: timed(lambda: sql(
                "select count(*) from matrice.chunk_text((select content from texts where name = %s), 512, %s, %s)", [name, overlap, format]))
            langchain = RecursiveCharacterTextSplitter(chunk_size=512, chunk_overlap=overlap, length_function=count)
            # A counter of its own for each call: semchunk remembers what one has counted.
            took, _ = medians({
                "text": ours("text"), "markdown": ours("markdown"),
                "count": lambda: timed(lambda: sql("select matrice.count_tokens(content) from texts where name = %s", [name])),
                "langchain": lambda: timed(lambda: len(langchain.split_text(text))),
                "semchunk": lambda: timed(lambda: len(semchunk.chunkerify(lambda part: count(part), 512)(text, overlap=overlap or None))),
            }, runs)
            peer = min(took["langchain"], took["semchunk"])
            rows.append([f"{name}, overlap {overlap}", took["text"], took["markdown"], took["langchain"], took["semchunk"],
                         peer / took["text"], peer / took["markdown"], took["count"] / took["text"], took["count"] / took["markdown"]])
    print("chunk_text of 1 MB in SQL, 512 tokens of cl100k_base; medians in ms\n")
    harness.table(["text", "as text", "as markdown", "LangChain", "semchunk", "text: × the better", "markdown: × the better",
                   "text: throughput of count_tokens", "markdown: so too"], rows)
    print(f"text: lowest {min(row[5] for row in rows):.1f} (bound 4, aim 8); markdown: lowest {min(row[6] for row in rows):.1f} (bound 1.5, aim 4).\n")


# Each with its size, and how it is read.
HOSTILE = {
    "one line of 10 MB": ("repeat('some words. ', {})", 10_000_000 // 12, ["text", "markdown"]),
    "10 MB with a blank line at the end": ("repeat('x ', {}) || E'\\n\\n'", 5_000_000, ["text", "markdown"]),
    "1 MB of a": ("repeat('a', {})", 1_000_000, ["text", "markdown"]),
    "1 MB of spaces": ("repeat(' ', {}) || 'x'", 1_000_000, ["text", "markdown"]),
    "1 MB of emoji joined by ZWJ": ("repeat(U&'\\+01F468\\200D', {})", 1_000_000 // 7, ["text", "markdown"]),
    "1 MB of combining marks": ("repeat(U&'\\0301', {})", 500_000, ["text", "markdown"]),
    "10,000 nested quotes": ("repeat('> ', {}) || 'x'", 10_000, ["markdown"]),
    "10,000 nested lists": ("repeat('- ', {}) || 'x'", 10_000, ["markdown"]),
    "10,000 nested brackets": ("repeat('(', {0}) || repeat(')', {0})", 10_000, ["text", "markdown", "rust"]),
    "400 kB of dots": ("repeat('.', {})", 400_000, ["text", "markdown", "rust"]),
    "100,000 headings": ("repeat(E'# H\\n\\ntext\\n\\n', {})", 100_000, ["markdown"]),
}


def hostile_texts(sql):
    rows = []
    for name, (text, size, formats) in HOSTILE.items():
        calls = {"count_tokens": "select matrice.count_tokens({})",
                 **{format: f"select count(*) from matrice.chunk_text({{}}, 512, 64, '{format}')" for format in formats}}
        for call, query in calls.items():
            took, _ = medians({half: lambda half=half: timed(lambda: sql(query.format(text.format(size // half)))) for half in (2, 1)}, runs=3)
            rows.append([name, call, took[2], took[1], took[1] / took[2]])
    print("Texts made to hurt, and half of each; medians in ms\n")
    harness.table(["text", "call", "half", "whole", "ratio"], rows)
    worst = max(rows, key=lambda row: row[4])
    print(f"highest ratio {worst[4]:.2f}: {worst[0]}, {worst[1]} (bound 2.3)\n")


def main():
    connection = harness.database(NAME)
    connection.execute("set max_parallel_workers_per_gather = 0")

    def sql(query, arguments=None, fetch=True):
        cursor = connection.execute(query, arguments)
        return cursor.fetchone()[0] if fetch else None

    texts = {
        "English": manual("doc/postgresql-doc-*/html/*.html"),
        "French": manual("debian-reference/*.fr.html"),
        "Japanese": manual("debian-reference/*.ja.html"),
        "Rust": rust(),
    }
    sql("create table texts (name text, content text)", fetch=False)
    # As it is when a text enters: reading a compressed one takes 1 to 3 ms for each MB.
    sql("alter table texts alter content set storage external", fetch=False)
    for name, text in texts.items():
        sql("insert into texts values (%s, %s)", [name, text], fetch=False)
    preloaded = dict(setting.split("=", 1) for setting in os.environ["BENCH_PRELOADED"].split())
    with psycopg.connect(dbname="postgres", autocommit=True, **preloaded) as other:
        other.execute(f"drop database if exists {NAME} with (force)")
        other.execute(f"create database {NAME}")
    with psycopg.connect(dbname=NAME, autocommit=True, **preloaded) as other:
        other.execute("create extension vector; create extension matrice")
    parts = {"count": lambda: counts(sql, texts), "short": lambda: short_texts(sql), "first": lambda: first_calls(preloaded),
             "chunk": lambda: chunks(sql, texts), "hostile": lambda: hostile_texts(sql)}
    for part in os.environ.get("BENCH_PARTS", " ".join(parts)).split():
        parts[part]()
        sys.stdout.flush()


main()
