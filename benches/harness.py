"""What the benchmarks share: a database, medians, a table."""

import json
import statistics
import time

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


def median_ms(connection, query, arguments=None, runs=21):
    """Of a query that has been run before, seen from the client. `arguments` may be a list to go round in."""
    cycle = arguments if isinstance(arguments, list) and arguments and isinstance(arguments[0], (list, tuple)) else [arguments]
    times = []
    for run in range(runs + 3):
        started = time.perf_counter()
        connection.execute(query, cycle[run % len(cycle)]).fetchall()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times[3:])


def table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
    print()
