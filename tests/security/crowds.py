"""Sessions of one project's members at the same moment."""

import hashlib
import json
import random
import threading
import time
import uuid
from collections import Counter

import psycopg
import pytest

from conftest import sign_in

OWNER, *EDITORS = (str(uuid.UUID(int=0xE0 + n)) for n in range(4))
BATCH = 16


def session(database, user=None, autocommit=True):
    """As a user, or as a service."""
    connection = psycopg.connect(dbname=database.name, user="postgres", autocommit=True)
    connection.execute("select set_config('statement_timeout', '120s', false)")
    if user:
        sign_in(connection, user)
    else:
        connection.execute("set role service_role")
    connection.autocommit = autocommit
    return connection


def new_project(connection, language="english"):
    """With an owner and three editors; made by whoever may do without invitations."""
    project = connection.execute(
        "insert into matrice.projects (name, created_by, settings) values ('Race', %s, %s) returning id",
        [OWNER, json.dumps({"embedding_model": "tiny", "language": language})]).fetchone()[0]
    connection.cursor().executemany("insert into matrice.user_projects (user_id, project_id, role) values (%s, %s, 'editor')",
                                    [(editor, project) for editor in EDITORS])
    return project


def vector_of(text):
    """A vector of the model tiny that tells which text it is of, in numbers that a float holds exactly."""
    digest = hashlib.sha256(text.encode()).digest()
    return [1 + int.from_bytes(digest[n:n + 2], "big") for n in (0, 2, 4)]


def claim(connection, batch=BATCH, lease_seconds=300, project=None):
    return connection.execute("select chunk_id, content, lease_id from matrice.claim_chunks('tiny', %s, %s, %s)",
                              [batch, lease_seconds, project]).fetchall()


def store(connection, claimed, with_lease=True):
    return connection.execute(
        "select matrice.store_embeddings('tiny', %s, %s, %s)",
        [[row[0] for row in claimed], json.dumps([vector_of(row[1]) for row in claimed]), claimed[0][2] if with_lease else None]).fetchone()[0]


def drain(connection):
    while claimed := claim(connection, 500):
        store(connection, claimed)


def run(*jobs):
    """Runs functions at once; what they raise is raised."""
    raised = []

    def guarded(job):
        try:
            job()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def waits(database, thread):
    """Whether a session waits for a lock or sleeps before the thread ends."""
    with database.connect() as watcher:
        for _ in range(200):
            if watcher.execute("select count(*) from pg_stat_activity where datname = %s and (wait_event_type = 'Lock' or wait_event = 'PgSleep')",
                               [database.name]).fetchone()[0]:
                return True
            thread.join(0.05)
            if not thread.is_alive():
                return False
    return False


def when_waiting(database, job, then):
    """Starts a job, and does something else when it waits for a lock or sleeps."""
    thread = threading.Thread(target=job)
    thread.start()
    if not waits(database, thread):
        pytest.fail("nobody waits")
    then()
    thread.join(60)
    assert not thread.is_alive()


class Crowd:
    """Counts what its members have done, by their names without numbers, and the errors that they should not have met."""

    def __init__(self, database, seconds):
        self.database, self.end = database, time.monotonic() + seconds
        self.done, self.errors = Counter(), Counter()

    def keep_on(self, name, user, act, allowed=("PT404",)):
        """Acts again and again until the time is over.

        `allowed`: SQLSTATEs, and names of constraints. PT404 is what somebody else has just deleted.
        """
        rng, kind = random.Random(name), name.rstrip("0123456789")
        with session(self.database, user) as connection:
            while time.monotonic() < self.end:
                try:
                    act(connection, rng)
                    self.done[kind] += 1
                except psycopg.Error as error:
                    if connection.closed:
                        raise
                    if error.sqlstate not in allowed and error.diag.constraint_name not in allowed:
                        self.errors[f"{kind}: {error.sqlstate} {error}"] += 1
                    self.done[f"{kind} {error.sqlstate}"] += 1


class Writer:
    """Does one thing after another by chance, each in a transaction of its own."""

    def __init__(self, connection, projects, rng):
        self.connection, self.projects, self.rng = connection, projects, rng

    def act_in_one_snapshot(self):
        with self.connection.transaction(force_rollback=self.rng.random() < 0.1):
            self.connection.execute("set transaction isolation level " + self.rng.choice(["repeatable read", "serializable"]))
            self.act()
