"""Files: what ingesting a PDF costs beside reading it, the memory of a long PDF, and what an edit has embedded again.

The PDFs are Debian's reference in several languages. "pdf.js alone" reads the text of all pages with the same library and does
nothing else. BENCH_RUNS is how often each command runs; BENCH_PARTS names some of the parts: cost memory edit.
"""

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from pypdf import PdfReader, PdfWriter

import harness
from backlog import MODEL

NAME = "bench_files"
FUNCTIONS = Path(__file__).parent.parent / "supabase" / "functions"
MANUALS = Path("/usr/share/debian-reference")
RUNS = int(os.environ.get("BENCH_RUNS", 5))
PARTS = os.environ.get("BENCH_PARTS", "cost memory edit").split()
DENO = [os.environ["DENO"], "run", "--quiet", "--config", FUNCTIONS / "deno.json", "--lock", FUNCTIONS / "worker.lock", "--frozen",
        "--allow-net", "--allow-env", "--allow-read"]
WORKER = [*DENO, FUNCTIONS / "_shared" / "cli.ts"]
ALONE = """
import { getDocumentProxy } from 'unpdf'
const options = { verbosity: 0, disableFontFace: true, useSystemFonts: false }
const document = await getDocumentProxy(await Deno.readFile(Deno.args[0]), options)
let length = 0
for (let first = 1; first <= document.numPages; first += 8) {
  const numbers = Array.from({ length: Math.min(8, document.numPages - first + 1) }, (_, i) => first + i)
  const pages = await Promise.all(numbers.map(async (number) => (await document.getPage(number)).getTextContent()))
  for (const { items } of pages) for (const item of items) length += item.str?.length ?? 0
}
console.log(length)
"""


def first_pages(folder, names, count):
    """A PDF of this many pages, from the beginnings of manuals."""
    path = folder / f"{count}.pdf"
    # By another process: what a process has used at most counts for the commands that it starts, too.
    maker = multiprocessing.get_context("fork").Process(target=write_pages, args=[path, names, count])
    maker.start()
    maker.join()
    if maker.exitcode != 0:
        sys.exit(f"{path} was not made")
    return path


def write_pages(path, names, count):
    pages = [page for name in names for page in PdfReader(MANUALS / f"debian-reference.{name}.pdf").pages][:count]
    if len(pages) < count:
        sys.exit(f"the manuals have {len(pages)} pages, not {count}")
    writer = PdfWriter()
    for page in pages:
        writer.add_page(page)
    writer.write(path)


def run(command, environment=None):
    """What a command prints, the seconds of a processor that it took, and its peak of resident memory in MB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | (environment or {}))
    output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command} ended with {process.returncode}: {output.decode()[:300]}")
    return output, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def worker_environment():
    return {"DATABASE_URL": f"postgresql://bench_worker:{os.environ['MATRICE_PASSWORD']}@127.0.0.1:{os.environ['PGPORT']}/{NAME}?role=service_role"}


def server_seconds(owner, project, key, text, spans):
    """The processor seconds of the server for storing and cutting a text."""
    began = harness.processor_seconds(owner)
    owner.execute("select * from matrice.sync_source(%s, %s, %s, spans => %s)", [project, key, text, json.dumps(spans)]).fetchall()
    return harness.processor_seconds(owner) - began


def cost(owner, project, folder):
    path = first_pages(folder, ["en"], 193)
    script = folder / "alone.ts"
    script.write_text(ALONE)
    found = json.loads(run([*WORKER, "convert", path])[0])
    rows = {"pdf.js alone": [], "matrice-worker convert": [], "matrice-worker ingest": [], "and the server": []}
    for number in range(RUNS):
        rows["pdf.js alone"].append(run([*DENO, script, path])[1])
        rows["matrice-worker convert"].append(run([*WORKER, "convert", path])[1])
        rows["matrice-worker ingest"].append(
            run([*WORKER, "ingest", "--project", project, "--prefix", f"{number}:", path], worker_environment())[1])
        rows["and the server"].append(
            rows["matrice-worker ingest"][-1] + server_seconds(owner, project, f"server {number}", found["text"], found["spans"]))
    middle = {name: statistics.median(taken) for name, taken in rows.items()}
    print(f"A PDF of 193 pages, {len(found['text']):,} characters, {RUNS} runs\n")
    harness.table(["command", "processor seconds", "ratio"],
                  [[name, taken, taken / middle["pdf.js alone"]] for name, taken in middle.items()])


def memory(_owner, project, folder):
    rows = []
    # What is not in use any more stays in memory until V8 has a reason to collect it.
    for count, heap in (193, None), (1000, None), (2000, None), (2000, 192):
        path = first_pages(folder, ["en", "fr", "de", "ja", "zh-cn"] * 2, count)
        flags = [f"--v8-flags=--max-old-space-size={heap}"] if heap else []
        command = [*DENO, *flags, *WORKER[len(DENO):], "ingest", "--project", project, "--prefix", f"{heap}:", path]
        output, seconds, most = run(command, worker_environment())
        rows.append([count, heap or "", path.stat().st_size // 1000, json.loads(output)["total"], round(seconds, 1), round(most)])
    harness.table(["pages", "limit of the heap, MB", "file, kB", "chunks", "processor seconds", "peak of resident memory, MB"], rows)


def edit(owner, project, folder):
    text = json.loads(run([*WORKER, "convert", first_pages(folder, ["en"], 193)])[0])["text"]
    sync = "select total, added, kept, removed from matrice.sync_source(%s, 'edited', %s, max_tokens => 190)"
    total, *_ = owner.execute(sync, [project, text]).fetchone()
    rows = []
    for name, changed in {
        "a word at the top": "Note. " + text,
        "a paragraph at the top": "This is the edition of today. " * 20 + "\n\n" + text,
        "the first 500 characters removed": text[500:],
        "a word in the middle": text[:len(text) // 2] + " again " + text[len(text) // 2:],
    }.items():
        owner.execute(sync, [project, text]).fetchone()
        owner.execute("""
            insert into matrice.chunk_embeddings (chunk_id, project_id, model, embedding)
            select c.id, c.project_id, %s, array_fill(0.1, array[1536])::vector from matrice.source_chunks c
             where c.project_id = %s on conflict do nothing""", [MODEL, project])
        new_total, *counts = owner.execute(sync, [project, changed]).fetchone()
        left, = owner.execute("""
            select count(*) from matrice.source_chunks c join matrice.context_sources s on s.id = c.source_id
             where s.project_id = %s and s.source_key = 'edited'
               and not exists (select from matrice.chunk_embeddings e where e.chunk_id = c.id)""", [project]).fetchone()
        rows.append([name, new_total, counts[1], left])
    print(f"A source of {total:,} chunks\n")
    harness.table(["edit", "chunks", "kept", "to embed again"], rows)


def main():
    owner = harness.database(NAME)
    owner.execute("do $$ begin create role bench_worker; exception when duplicate_object then end $$")
    owner.execute(f"alter role bench_worker login noinherit password '{os.environ['MATRICE_PASSWORD']}'; grant service_role to bench_worker")
    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            project = uuid.uuid4()
            owner.execute("insert into matrice.projects (id, name, created_by) values (%s, 'Bench', %s)", [project, uuid.UUID(int=1)])
            {"cost": cost, "memory": memory, "edit": edit}[part](owner, str(project), Path(folder))


main()
