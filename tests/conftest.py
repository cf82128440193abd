"""Databases of a private cluster, whose PG* variables are in the environment."""

import itertools
import subprocess
import uuid
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).resolve().parent.parent
ALICE = str(uuid.UUID(int=0xA11CE))
_numbers = itertools.count(1)


class Database:
    """A database by name: psycopg to ask, the command-line tools to dump and restore."""

    def __init__(self, name, user="postgres"):
        self.name, self.user = name, user

    def connect(self, **options):
        return psycopg.connect(dbname=self.name, user=self.user, autocommit=True, **options)

    def rows(self, query, arguments=None):
        with self.connect() as connection:
            cursor = connection.execute(query, arguments)
            return cursor.fetchall() if cursor.description else []

    def value(self, query, arguments=None):
        return self.rows(query, arguments)[0][0]

    def psql(self, script, check=True):
        return self._run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.name, "-U", self.user], script, check)

    def dump(self, *options):
        text = self._run(["pg_dump", "-d", self.name, "-U", self.user, *options]).stdout
        # \restrict carries a key that is new in every dump.
        return "\n".join(line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))

    @staticmethod
    def _run(command, script=None, check=True):
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done


@pytest.fixture
def empty_database():
    """Makes empty databases; they go when the test ends."""
    made = []

    def make(owner="postgres", user="postgres"):
        database = Database(f"matrice_py_{next(_numbers)}", user)
        with psycopg.connect(dbname="postgres", user="postgres", autocommit=True) as server:
            server.execute(f"drop database if exists {database.name} with (force)")
            server.execute(f"create database {database.name} owner {owner}")
        made.append(database)
        return database

    yield make
    with psycopg.connect(dbname="postgres", user="postgres", autocommit=True) as server:
        for database in made:
            server.execute(f"drop database {database.name} with (force)")


@pytest.fixture
def matrice_database(empty_database):
    """Makes databases with the extension installed, pgvector in a schema of its own as on Supabase."""

    def make():
        database = empty_database()
        database.psql("create schema extensions; create extension vector schema extensions; create extension matrice;")
        return database

    return make


def sign_in(connection, user=ALICE):
    connection.execute("select set_config('request.jwt.claims', json_build_object('sub', %s::text)::text, false)", [user])
    connection.execute("set role authenticated")


def fill(database):
    """A project with a bit of everything; returns its id."""
    with database.connect() as connection:
        sign_in(connection)
        project = connection.execute("select matrice.create_project('Dump me', settings => '{\"language\":\"french\"}')").fetchone()[0]
        text = (ROOT / "sql" / "001_core_tables.sql").read_text()
        connection.execute("select matrice.ingest_source(%s, 'a source', %s, format => 'sql')", [project, text])
        claimed = [row[0] for row in connection.execute("select chunk_id from matrice.claim_chunks(batch_size => 5)").fetchall()]
        connection.execute(
            "select matrice.store_embeddings('text-embedding-3-small', %s::uuid[],"
            " (select jsonb_agg((select jsonb_agg(sin(i * j)) from generate_series(1, 1536) i)) from generate_series(1, %s) j))",
            [claimed, len(claimed)])
        connection.execute("select chunk_id from matrice.claim_chunks(batch_size => 1)")
        connection.execute("select matrice.save_pillar(%s, 'P1', '# Vision')", [project])
        connection.execute("select matrice.label_pillar(%s, 'P1', 2, 'v1', is_release => true), matrice.set_phase(%s, 'P2')", [project, project])
        connection.execute("select matrice.record_insight(%s, 'learning', 'Dumps', 'Everything comes back.')", [project])
        run = connection.execute("select matrice.start_run(%s, 'wf', 'event')", [project]).fetchone()[0]
        connection.execute("select matrice.record_step(%s, 'embed', 'success', 5, 'text-embedding-3-small', 1)", [run])
    return project
