"""Logical replication: the steps that README names, with a publisher and a subscriber."""

import time

import psycopg
import pytest
from servers import Server

from conftest import Database, fill, sign_in

SEEDED = ["embedding_models", "model_prices", "model_price_windows", "model_price_multipliers", "quotas"]
SEEDED_PRIVATE = [f"matrice_private.{table}" for table in ("price_units", "price_sheets", "priced_names")]


@pytest.fixture
def server(monkeypatch):
    """A cluster that writes what logical replication reads; all of a test happens there."""
    with Server(monkeypatch, "replication", "wal_level=logical") as running:
        yield f"host={running.host} port={running.port} user=postgres"


@pytest.fixture
def databases(server):
    """A publisher with a bit of everything, and an empty subscriber."""
    names = ["matrice_publisher", "matrice_subscriber"]
    with psycopg.connect(server, dbname="postgres", autocommit=True) as connection:
        for name in names:
            connection.execute(f"drop database if exists {name} with (force)")
            connection.execute(f"create database {name}")
    publisher, subscriber = map(Database, names)
    publisher.psql("create schema extensions; create extension vector schema extensions; create extension matrice;")
    fill(publisher)
    yield publisher, subscriber
    # A subscription and its slot keep their databases from being dropped.
    for subscription, in subscriber.rows("select subname from pg_subscription"):
        subscriber.psql(f"alter subscription {subscription} disable; alter subscription {subscription} set (slot_name = none); drop subscription {subscription}")
    publisher.psql("select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active")
    with psycopg.connect(server, dbname="postgres", autocommit=True) as connection:
        for name in names:
            connection.execute(f"drop database {name} with (force)")


def subscribe(server, publisher, subscriber):
    publisher.psql("create publication matrice for tables in schema matrice, matrice_private;"
                   "select pg_create_logical_replication_slot('matrice', 'pgoutput')")
    # Within one server the slot has to be there beforehand; elsewhere CREATE SUBSCRIPTION makes it.
    subscriber.psql(f"create subscription matrice connection '{server} dbname={publisher.name}' publication matrice"
                    " with (create_slot = false, slot_name = 'matrice')")


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the subscriber did not catch up"
        time.sleep(0.1)


def tables(database):
    return [row[0] for row in database.rows(
        "select oid::regclass::text from pg_class where relkind = 'r' and relnamespace in ('matrice'::regnamespace, 'matrice_private'::regnamespace) order by 1")]


def contents(database):
    return {table: database.value(f"select md5(string_agg(t::text, chr(10) order by t::text)) from {table} t") for table in tables(database)}


def by_schema(publisher, subscriber):
    """As for any database: the schema from a dump, which brings no rows."""
    subscriber.psql(publisher.dump("--schema-only"))
    assert all(subscriber.value(f"select count(*) from {table}") == 0 for table in tables(subscriber))


def by_extension(_, subscriber):
    """CREATE EXTENSION fills some tables, which are to be emptied."""
    subscriber.psql("create schema extensions; create extension vector schema extensions; create extension matrice;")
    full = [table for table in tables(subscriber) if subscriber.value(f"select count(*) from {table}")]
    assert sorted(full) == sorted([f"matrice.{table}" for table in SEEDED] + ["matrice_private.migrations"] + SEEDED_PRIVATE)
    subscriber.psql("truncate " + ", ".join(full) + " cascade")


@pytest.mark.parametrize("prepare", [by_schema, by_extension])
def test_a_subscriber_has_the_rows_of_its_publisher(server, databases, prepare):
    publisher, subscriber = databases
    prepare(publisher, subscriber)
    subscribe(server, publisher, subscriber)
    wait_until(lambda: subscriber.value("select count(*) from pg_subscription_rel where srsubstate <> 'r'") == 0)
    assert contents(subscriber) == contents(publisher)

    publisher.psql("insert into matrice.embedding_models (model, dimensions) values ('new', 3);"
                   "update matrice.source_chunks set content = 'A new text about lighthouses.' where chunk_index = 0;"
                   "delete from matrice.insights where true")
    wait_until(lambda: contents(subscriber) == contents(publisher))
    with subscriber.connect() as connection:
        connection.execute("set role service_role")
        assert connection.execute("select chunk_index from matrice.search_chunks('lighthouses')").fetchall() == [(0,)]
        assert connection.execute("select count(*) from matrice.match_chunks((select embedding from matrice.chunk_embeddings limit 1), match_count => 3)").fetchone()[0] == 3
    assert subscriber.value("select matrice.migrate()") == []


def test_a_subscriber_that_takes_over_finds_and_writes_words_after_rebuild_word_index(server, databases):
    """Replication brings rows, but not where the numbers of identity columns stand."""
    publisher, subscriber = databases
    by_schema(publisher, subscriber)
    subscribe(server, publisher, subscriber)
    wait_until(lambda: subscriber.value("select count(*) from pg_subscription_rel where srsubstate <> 'r'") == 0)
    subscriber.psql("alter subscription matrice disable; alter subscription matrice set (slot_name = none); drop subscription matrice")
    subscriber.psql("select matrice_private.rebuild_word_index()")
    with subscriber.connect() as connection:
        sign_in(connection)
        project = connection.execute("select id from matrice.projects").fetchone()[0]
        found = connection.execute("select chunk_id, rank from matrice.search_chunks('function trigger')").fetchall()
        with publisher.connect() as other:
            sign_in(other)
            assert found == other.execute("select chunk_id, rank from matrice.search_chunks('function trigger')").fetchall() != []
        source = connection.execute("select matrice.ingest_source(%s, 'after', 'A lighthouse.')", [project]).fetchone()[0]
        assert connection.execute("select source_id from matrice.search_chunks('lighthouse')").fetchall() == [(source,)]


def test_a_subscriber_of_schema_matrice_alone_finds_words_after_rebuild_word_index(server, databases):
    publisher, subscriber = databases
    by_schema(publisher, subscriber)
    publisher.psql("create publication matrice for tables in schema matrice; select pg_create_logical_replication_slot('matrice', 'pgoutput')")
    subscriber.psql(f"create subscription matrice connection '{server} dbname={publisher.name}' publication matrice"
                    " with (create_slot = false, slot_name = 'matrice')")
    wait_until(lambda: subscriber.value("select count(*) from pg_subscription_rel where srsubstate <> 'r'") == 0)
    search = "select chunk_id, rank from matrice.search_chunks('function trigger')"
    with subscriber.connect() as connection, publisher.connect() as other:
        sign_in(connection)
        sign_in(other)
        assert connection.execute(search).fetchall() == []
        subscriber.psql("select matrice_private.rebuild_word_index()")
        assert connection.execute(search).fetchall() == other.execute(search).fetchall() != []
