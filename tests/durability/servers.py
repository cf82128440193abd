"""A server of a test's own: with its own settings, or to be killed."""

import contextlib
import os
import signal
import subprocess
import threading
import time

import psycopg

from conftest import ROOT, Database


class Server:
    """The private cluster of a name. While it runs, PGHOST and PGPORT point to it."""

    def __init__(self, monkeypatch, name, *settings):
        self.monkeypatch, self.name, self.settings, self.limit = monkeypatch, name, settings, "unlimited"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._cluster("stop")

    def start(self):
        """On a port of its own each time."""
        self._cluster("start", *self.settings)
        shell = f'eval "$({ROOT}/scripts/cluster env {self.name})"; echo "$PGHOST $PGPORT $MATRICE_PGDATA"'
        self.host, self.port, self.data = subprocess.run(["bash", "-c", shell], check=True, capture_output=True, text=True).stdout.split()
        self.monkeypatch.setenv("PGHOST", self.host)
        self.monkeypatch.setenv("PGPORT", self.port)

    def new_database(self):
        """The database postgres, where the extension has just been created."""
        database = Database("postgres")
        database.psql("drop extension if exists matrice; drop schema if exists matrice, matrice_private cascade;"
                      "create extension if not exists vector; create extension matrice;")
        return database

    def kill_during(self, *jobs, times=3):
        """Kills the server once each job has yielded so many times, and starts it again. A job is a generator over a connection."""
        done = [threading.Semaphore(0) for _ in jobs]
        workers = [threading.Thread(target=_work_until_killed, args=(job, yielded)) for job, yielded in zip(jobs, done)]
        for worker in workers:
            worker.start()
        assert all(yielded.acquire(timeout=60) for yielded in done for _ in range(times))
        self._kill()
        for worker in workers:
            worker.join(60)
        assert not any(worker.is_alive() for worker in workers)
        self.start()

    @contextlib.contextmanager
    def full_disk(self, largest_file):
        """The server can write no file beyond so many kilobytes. PostgreSQL handles that as it does a full disk."""
        self._cluster("stop")
        self.limit = largest_file
        self.start()
        try:
            yield
        finally:
            self._cluster("stop")
            self.limit = "unlimited"
            self.start()

    def _cluster(self, action, *settings):
        command = [ROOT / "scripts" / "cluster", action, self.name, *settings]
        subprocess.run(["bash", "-c", f'ulimit -S -f {self.limit} && exec "$@"', "start", *command], check=True, capture_output=True)

    def _kill(self):
        with open(os.path.join(self.data, "postmaster.pid")) as file:
            postmaster = int(file.readline())
        children = subprocess.run(["pgrep", "-P", str(postmaster)], capture_output=True, text=True, check=True).stdout.split()
        for process in [postmaster, *map(int, children)]:
            os.kill(process, signal.SIGKILL)
        _wait_until_gone(postmaster)


def _work_until_killed(job, yielded):
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(dbname="postgres", user="postgres", autocommit=True) as connection:
        for _ in job(connection):
            yielded.release()


def _wait_until_gone(process):
    """Until init has reaped it: the server refuses to start while its predecessor's id is in use."""
    for _ in range(600):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError(f"process {process} is still there")
