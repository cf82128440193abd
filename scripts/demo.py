"""The whole main job on real documents: convert, chunk, count, embed by the worker, search under row-level security, price."""

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

import embedder

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "matrice"
ALICE, BOB = (str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in ("alice", "bob"))
CONVERTED = {".pdf", ".docx", ".xlsx", ".pptx", ".epub", ".html", ".htm", ".csv", ".tsv", ".md"}
TEXT = {"", ".txt", ".rst", ".toml", ".json", ".yml", ".yaml", ".xml", ".tex", ".adoc", ".org",
        ".rs", ".py", ".sql", ".go", ".js", ".mjs", ".ts", ".tsx"}
WORKER = ROOT / "scripts" / "worker"
SKIPPED = {"node_modules", "target", "build", "__pycache__"}
LARGEST = 20_000_000
# A person's words, where the documents have others.
QUESTIONS = ["who may look at other people's documents?", "how to keep my data when the extension is removed",
             "price of cached tokens"]


def main():
    documents = find_documents(sys.argv[1:])
    if not documents:
        sys.exit("error: no readable files there")
    model = embedder.configured()
    create_database(model)
    with connect(ALICE) as alice:
        project = ingest(alice, documents, model)
        embed(alice, project, model)
        show_sources(alice)
        questions = [os.environ["QUESTION"]] if "QUESTION" in os.environ else QUESTIONS
        for question in questions:
            search(alice, project, question, model)
        with connect(BOB) as bob:
            show_outsider(bob, project, model.embed([questions[0]])[0])
        show_runs(alice, project)
    show_connections(project)


# Documents ------------------------------------------------------------------------------------------------------------


def find_documents(arguments):
    """What the worker makes of the files named, or of this repository's documentation and SQL."""
    if arguments:
        roots = [Path(argument) for argument in arguments]
        if missing := [str(root) for root in roots if not root.exists()]:
            sys.exit(f"error: no such file or directory: {', '.join(missing)}")
        files = [file for root in roots for file in (sorted(root.rglob("*")) if root.is_dir() else [root])]
    else:
        files = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benches/*.md"), *ROOT.glob("sql/*.sql")])
    files = [file for file in files if file.is_file() and not SKIPPED & set(file.parts) and file.suffix.lower() in CONVERTED | TEXT
             and 0 < file.stat().st_size <= LARGEST]
    return [document for document in convert(files) if document]


def convert(files):
    """The worker's line for each file: text, format, spans; a file that cannot be converted is said and left out."""
    if not files:
        return
    worker = subprocess.Popen([WORKER, "convert", *files], stdout=subprocess.PIPE, text=True, encoding="utf-8")
    for line in worker.stdout:
        document = json.loads(line)
        file = Path(document["file"])
        if error := document.get("error"):
            print(f"   skipped {file}: {error['message']}")
            continue
        name = file.resolve()
        yield document | {"name": str(name.relative_to(ROOT) if name.is_relative_to(ROOT) else file)}
    worker.wait()


# The job --------------------------------------------------------------------------------------------------------------


def create_database(model):
    heading(f"a new database {DATABASE}, CREATE EXTENSION matrice")
    with psycopg.connect(dbname="postgres", autocommit=True) as server:
        server.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(DATABASE)))
        server.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
    with psycopg.connect(dbname=DATABASE, autocommit=True) as owner:
        # As on Supabase: pgvector in a schema of its own, which the API roles may use.
        owner.execute("create schema extensions; create extension vector with schema extensions; create extension matrice")
        if not owner.execute("select 1 from pg_roles where rolname = 'authenticator'").fetchone():
            owner.execute("create role authenticator login noinherit")
        password = sql.Literal(os.environ["MATRICE_PASSWORD"])
        owner.execute(sql.SQL("alter role authenticator password {}").format(password))
        owner.execute("grant anon, authenticated, service_role to authenticator")
        owner.execute("grant usage on schema extensions to anon, authenticated, service_role")
        owner.execute(
            "insert into matrice.embedding_models (model, dimensions) values (%s, %s) on conflict do nothing",
            [model.model, model.dimensions],
        )


def connect(user=None, role="authenticated"):
    """A session as PostgREST opens it: the role and the claims of a signed-in user, or a worker's service_role."""
    connection = psycopg.connect(dbname=DATABASE, autocommit=True)
    if user:
        connection.execute("select set_config('request.jwt.claims', %s, false)", [json.dumps({"sub": user, "role": role})])
    connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
    return connection


def value(connection, query, arguments=()):
    return connection.execute(query, arguments).fetchone()[0]


def ingest(alice, documents, model):
    heading(f"alice ingests {len(documents)} documents")
    settings = Jsonb({"embedding_model": model.model, "language": "english"})
    project = value(alice, "select matrice.create_project('Demo', 'Its own documentation', settings => %s)", [settings])
    run = value(alice, "select matrice.start_run(%s, 'ingest-documents', 'demo/started', phase => 'P3')", [project])
    for number, document in enumerate(documents, 1):
        started = time.perf_counter()
        name, text, spans = document["name"], document["text"], document["spans"]
        source = value(
            alice,
            "select source_id from matrice.sync_source(%s, %s, %s, format => %s, max_tokens => 256, overlap_tokens => 32, storage_path => %s, spans => %s)",
            [project, name, text, document["format"], name, Jsonb(spans) if spans else None])
        latency = round((time.perf_counter() - started) * 1000)
        tokens, chunks = alice.execute(
            "select s.token_count, (select count(*) from matrice.source_chunks c where c.source_id = s.id)"
            "  from matrice.context_sources s where s.id = %s", [source]).fetchone()
        alice.execute("select matrice.record_step(%s, %s, 'success', %s, step_key => %s)", [run, f"chunk {name}", latency, name])
        print(f"   {number:>3}/{len(documents)}  {name[-48:]:<48} {len(text) / 1000:>8.1f} kB {tokens:>8} tokens {chunks:>5} chunks")
    alice.execute("select matrice.finish_run(%s, 'completed')", [run])
    return project


def embed(alice, project, model):
    """By the worker that is shipped. It connects as service_role and asks the endpoint of the model."""
    total = value(alice, "select count(*) from matrice.source_chunks where project_id = %s", [project])
    heading(f"matrice-worker embeds {total} chunks with {model.model}")
    with model.served() as url:
        environment = {**os.environ, "DATABASE_URL": database_url() + "?role=service_role", "EMBEDDINGS_URL": url}
        if isinstance(model, embedder.Offline):
            # What an offline model costs is known: nothing. Others are priced by their name.
            environment["EMBEDDINGS_USD_PER_MILLION"] = "0"
        worker = subprocess.Popen([WORKER, "embed", "--once", "--project", str(project)], stdout=subprocess.DEVNULL, env=environment)
        while worker.poll() is None:
            time.sleep(0.2)
            done = value(alice, "select count(*) from matrice.chunk_embeddings where project_id = %s", [project])
            print(f"   {done:>6}/{total}", end="\r", flush=True)
    print()
    if worker.returncode:
        sys.exit(f"error: the worker ended with {worker.returncode}")


def database_url():
    return f"postgresql://authenticator:{os.environ['MATRICE_PASSWORD']}@127.0.0.1:{os.environ['PGPORT']}/{DATABASE}"


# What came of it --------------------------------------------------------------------------------------------------------


def show_sources(alice):
    heading("the sources")
    table(alice.execute("""
        select s.name, s.status, s.token_count as tokens, count(c.id) as chunks, count(e.id) as embeddings
          from matrice.context_sources s
          join matrice.source_chunks c on c.source_id = s.id
          left join matrice.chunk_embeddings e on e.chunk_id = c.id
         group by s.id order by s.token_count desc limit 15"""))


SEARCHES = {
    "by meaning": "select similarity, source_name, metadata, content, null from matrice.match_chunks(%(vector)s::extensions.vector, %(project)s, 2)",
    "by words": "select rank, source_name, metadata, content, matched_words from matrice.search_chunks(%(question)s, %(project)s, 2)",
    "by both": "select score, source_name, metadata, content, matched_words"
               " from matrice.hybrid_search(%(question)s, %(vector)s::extensions.vector, %(project)s, 3)",
}


def search(alice, project, question, model):
    heading(f"match_chunks, search_chunks, hybrid_search: {question}")
    asked = {"question": question, "vector": str(model.embed([question])[0]), "project": project}
    for kind, query in SEARCHES.items():
        print(f"   {kind}")
        for score, source, metadata, content, words in alice.execute(query, asked):
            place = " › ".join([source, *metadata.get("headings", []), *(f"page {page}" for page in metadata.get("pages", []))])
            print(f"   {score:>8.3f}  {place}" + (f"   [{', '.join(words)}]" if words else ""))
            print(f"             {' '.join(content.split())[:140]}")


def show_outsider(bob, project, embedding):
    heading("bob, signed in but no member of the project")
    for name in ("projects", "context_sources", "source_chunks", "chunk_embeddings", "workflow_runs", "workflow_steps"):
        print(f"   {name:<18} {value(bob, sql.SQL('select count(*) from matrice.{}').format(sql.Identifier(name)))} rows")
    try:
        bob.execute("select from matrice.match_chunks(%s::extensions.vector, %s)", [str(embedding), project])
        sys.exit("error: bob could search alice's project")
    except psycopg.Error as error:
        print(f"   match_chunks       {error.sqlstate}: {error.diag.message_primary}")


def show_runs(alice, project):
    heading("the runs and their steps")
    table(alice.execute("""
        select step_name as step, count(*) as calls, sum(latency_ms) as latency_ms, model, nullif(sum(tokens_input), 0) as tokens, trim_scale(sum(cost_usd)) as cost_usd
          from matrice.workflow_steps where project_id = %s
         group by step_name, model order by sum(latency_ms) desc limit 8""", [project]))
    tokens = value(alice, "select sum(tokens_input) from matrice.workflow_steps where project_id = %s", [project])
    cost = value(alice, "select matrice.calculate_cost('text-embedding-3-small', %s)", [tokens])
    print(f"   the same {tokens} tokens with text-embedding-3-small: ${cost}")


def show_connections(project):
    heading("look around")
    host, port = os.environ["PGHOST"], os.environ["PGPORT"]
    print(f"""   psql       {ROOT}/scripts/psql demo -d {DATABASE}
   as alice   set role authenticated; select set_config('request.jwt.claims', '{{"sub":"{ALICE}"}}', false);
              select name, token_count from matrice.context_sources;
   PostgREST  PGRST_DB_URI='{database_url()}' \\
              PGRST_DB_SCHEMAS=matrice PGRST_DB_ANON_ROLE=anon PGRST_JWT_SECRET='at least 32 characters of your own' postgrest
   socket     {host} (port {port})
   project    {project}
   stop       {ROOT}/scripts/cluster stop demo""")


def heading(text):
    print(f"\n\033[1m{text}\033[0m", flush=True)


def table(cursor):
    rows = [[column.name for column in cursor.description]]
    rows += [["" if cell is None else str(cell) for cell in row] for row in cursor.fetchall()]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("   " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)))


main()
