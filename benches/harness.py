"""What the benchmarks share: a database, medians, a table."""

import json
import statistics
import time
from pathlib import Path

import psycopg


def database(name):
    """A new database with the extension, as its superuser."""
    with psycopg.connect(dbname="postgres", autocommit=True) as server:
        server.execute(f"drop database if exists {name} with (force)")
        server.execute(f"create database {name}")
    connection = psycopg.connect(dbname=name, autocommit=True)
    connection.execute("create extension vector; create extension matrice; set jit = off")
    connection.execute(f"alter database {name} set jit = off")
    return connection


def signed_in(name, user):
    connection = psycopg.connect(dbname=name, autocommit=True)
    connection.execute("select set_config('request.jwt.claims', %s, false)", [json.dumps({"sub": str(user)})])
    connection.execute("set role authenticated")
    return connection


def medians_ms(calls, runs=101, warm_up=10):
    """Medians of several calls, made in turn so that the machine's moods fall on all of them alike.

    `calls` is {name: (connection, query, arguments)}; `arguments` may be a list of them to go round in.
    """
    times = {name: [] for name in calls}
    for run in range(runs + warm_up):
        for name, (connection, query, arguments) in calls.items():
            if isinstance(arguments, list) and arguments and isinstance(arguments[0], (list, tuple)):
                arguments = arguments[run % len(arguments)]
            started = time.perf_counter()
            connection.execute(query, arguments).fetchall()
            times[name].append((time.perf_counter() - started) * 1000)
    return {name: statistics.median(taken[warm_up:]) for name, taken in times.items()}


def processor_seconds(connection):
    """What the session has used: other work of the machine does not count."""
    return int(Path(f"/proc/{connection.info.backend_pid}/schedstat").read_text().split()[0]) / 1e9


def table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
    print()
