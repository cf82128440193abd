"""Whoever speaks SQL may make types, tables, functions and operators in pg_temp: none of it is taken for the server's own.

Under `search_path = ''` pg_temp comes first for types and relations, so that a domain pg_temp.uuid with a check of the attacker's
is what `uuid` means inside a SECURITY DEFINER function.
"""

import psycopg
import pytest

from personas import USERS, A, build
from test_matrix import CALLS, TABLES

# Notices are seen whatever catches an exception.
EVIL = """
create function pg_temp.evil(what text) returns boolean language plpgsql volatile as $$
begin
  if current_user <> 'authenticated' then raise warning 'EVIL % ran as %', what, current_user; end if;
  return true;
end $$;
"""

# A control: what is not pinned is caught. It runs as superuser, as the functions of matrice do here.
UNPINNED = """
create function public.unpinned_type(value text) returns uuid language plpgsql security definer set search_path = '' as $$
begin return value::uuid; end $$;
create function public.unpinned_table() returns bigint language plpgsql security definer set search_path = '' as $$
begin return (select count(*) from pg_ts_config); end $$;
grant execute on all functions in schema public to authenticated;
"""


# What an owner of a project may not do. Everything else must be done, or it is not shown that it runs nothing of the attacker's.
FOR_SERVICES = {"migrate", "register_model", "load_prices", "reap_runs"}
READ_ONLY = {"audit_log", "budget_events", "budgets", "embedding_leases", "embedding_models", "insight_candidates", "insight_embeddings", "insight_evidence",
             "insight_versions", "model_price_multipliers", "model_price_windows", "model_prices", "phase_changes", "pillar_labels",
             "pillar_versions", "project_imports", "project_prices", "project_usage", "quotas", "source_texts"}
REFUSED = {
    "insert": READ_ONLY | {"project_invitations", "user_projects"},
    "update": READ_ONLY | {"answer_passages", "conversation_turns", "project_invitations", "workflow_steps"},
    "delete": READ_ONLY | {"conversation_turns", "pillars", "workflow_runs", "workflow_steps"},
    "select": set(),
}


@pytest.fixture
def attacker(matrice_database):
    """A session of an editor and owner with everything in pg_temp that has a name of the server's or of matrice's."""
    database = matrice_database()
    with database.connect() as setup:
        setup.execute("grant usage on schema extensions to public")
        build(setup)
        setup.execute("select matrice.register_model('short', 512, truncated_from => 'text-embedding-3-small')")
        setup.execute(UNPINNED)
    connection = database.connect()
    connection.execute("select set_config('request.jwt.claims', json_build_object('sub', %s::text)::text, false)", [USERS["owner"]])
    connection.execute("set role authenticated")
    connection.execute(EVIL)

    # Domains under the names of all types; record, void and the like cannot be imitated but by a composite type.
    types = connection.execute(
        "select n.nspname, t.typname from pg_type t join pg_namespace n on n.oid = t.typnamespace"
        " where t.typtype in ('b', 'e', 'r') and t.typcategory <> 'A' and (n.nspname = 'pg_catalog' or t.typname = 'vector') and t.typname !~ '^(_|pg_)'").fetchall()
    made = 0
    for schema, name in types:
        try:
            connection.execute(f'create domain pg_temp."{name}" as {schema}."{name}" check (pg_temp.evil($${name}$$))')
            made += 1
        except psycopg.Error:
            pass  # an internal type that has no domain
    assert made > 60 and {"uuid", "text", "jsonb", "name", "regconfig", "vector", "int4", "tsquery"} <= {name for _, name in types}
    for name in ("record", "void", "trigger", "anyelement"):
        connection.execute(f'create type pg_temp."{name}" as (a pg_catalog.int4)')

    # Views under the names of all tables of matrice and of the catalogues that its functions read.
    relations = connection.execute(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname in ('matrice', 'matrice_private') and c.relkind = 'r' or n.nspname = 'pg_catalog' and c.relkind in ('r', 'v')"
        "   and c.relname in ('pg_class', 'pg_proc', 'pg_namespace', 'pg_type', 'pg_roles', 'pg_ts_config', 'pg_extension', 'pg_depend', 'pg_am')").fetchall()
    for schema, name in relations:
        if schema == "pg_catalog":
            connection.execute(f"create view pg_temp.{name} as select * from pg_catalog.{name} where pg_temp.evil($${name}$$)")
        else:
            connection.execute(f"create view pg_temp.{name} as select null::pg_catalog.uuid as id, null::pg_catalog.uuid as project_id where pg_temp.evil($${name}$$)")

    # Functions and operators that fit better than the server's own.
    for name, arguments in {
        "array_position": "pg_catalog.text[], pg_catalog.text", "format": "pg_catalog.text, pg_catalog.text", "coalesce_": "pg_catalog.text",
        "jsonb_build_object": "pg_catalog.text, pg_catalog.text", "cardinality": "pg_catalog.uuid[]", "array_agg": "pg_catalog.uuid",
        "unnest": "pg_catalog.uuid[]", "now": "", "current_user_id": "", "project_ids": "pg_catalog.text", "count_tokens": "pg_catalog.text",
    }.items():
        connection.execute(f"create function pg_temp.{name}({arguments}) returns pg_catalog.bool language sql as $$ select pg_temp.evil('{name}') $$")
    connection.execute("create function pg_temp.equals(pg_catalog.uuid, pg_catalog.uuid) returns pg_catalog.bool language sql as $$ select pg_temp.evil('=') $$")
    connection.execute("create operator pg_temp.= (leftarg = pg_catalog.uuid, rightarg = pg_catalog.uuid, function = pg_temp.equals)")

    connection.caught = []
    connection.add_notice_handler(
        lambda notice: connection.caught.append(notice.message_primary) if notice.message_primary.startswith("EVIL") else None)
    yield connection
    connection.close()


def attempt(connection, statement):
    """Whether it was done; nothing of it stays."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
        return True
    except psycopg.Error:
        return False


def test_c2_a_function_without_search_path_runs_what_is_in_pg_temp(attacker):
    attempt(attacker, f"select public.unpinned_type('{A}')")
    attempt(attacker, "select public.unpinned_table()")
    assert attacker.caught == ["EVIL uuid ran as postgres", *["EVIL pg_ts_config ran as postgres"] * len(attacker.caught[1:])]
    assert len(attacker.caught) > 1


def test_c2_no_function_of_the_api_runs_what_is_in_pg_temp(attacker):
    refused = {function for function, arguments in CALLS.items() if not attempt(attacker, f"select * from matrice.{function}{arguments}")}
    # What begins with an underscore is not for users.
    # CALLS imports lines that are refused. These are not.
    assert {function for function in refused if not function.startswith("_")} == FOR_SERVICES | {"import_project"}
    assert attempt(attacker, f"select * from matrice.import_project(array(select matrice.export_lines('{A}')), new_ids => true)")
    assert attacker.caught == []


def test_c2_no_helper_runs_what_is_in_pg_temp(attacker):
    values = {"uuid": f"'{A}'::pg_catalog.uuid", "uuid[]": f"array['{A}'::pg_catalog.uuid]", "text": "'viewer'::pg_catalog.text", "jsonb": "'{}'::pg_catalog.jsonb",
              "integer": "1", "bigint": "1::pg_catalog.int8", "double precision": "0.5::pg_catalog.float8", "boolean": "true", "text[]": "array['viewer'::pg_catalog.text]",
              "regconfig": "'pg_catalog.english'::pg_catalog.regconfig", "extensions.vector": "'[1,2,3]'::extensions.vector", "real[]": "array[1::pg_catalog.float4]",
              "timestamp with time zone": "pg_catalog.now()", "interval": "'7 days'::pg_catalog.interval", "double precision[]": "array[0.5::pg_catalog.float8]"}
    helpers = attacker.execute(
        "select p.pronamespace::pg_catalog.regnamespace || '.' || p.proname,"
        "       array(select pg_catalog.format_type(t, null) from pg_catalog.unnest(p.proargtypes) t) from pg_catalog.pg_proc p"
        " where p.pronamespace = 'matrice_private'::pg_catalog.regnamespace and p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype"
        "   and pg_catalog.has_function_privilege(p.oid, 'execute')").fetchall()
    done = 0
    for name, types in helpers:
        for nulls in (False, True):
            arguments = ", ".join("null::" + t if nulls and "vector" not in t else values.get(t, "null") for t in types)
            done += attempt(attacker, f"select {name}({arguments})")
    assert len(helpers) > 40 and done > len(helpers)
    assert attacker.caught == []


def test_c2_no_write_to_a_table_runs_what_is_in_pg_temp(attacker):
    refused = {kind: set() for kind in ("insert", "update", "delete", "select")}
    for table, (row, change, new) in TABLES.items():
        for statement in (f"insert into matrice.{table} {new}", f"update matrice.{table} set {change} where {row}",
                          f"delete from matrice.{table} where {row}", f"select 1 from matrice.{table} where {row}"):
            if not attempt(attacker, statement):
                refused[statement.split()[0]].add(table)
    assert refused == REFUSED
    assert attacker.caught == []


def test_every_function_that_resolves_names_has_a_search_path(attacker):
    loose = attacker.execute(
        "select p.oid::pg_catalog.regprocedure::pg_catalog.text, p.proconfig from pg_catalog.pg_proc p"
        " where p.pronamespace in ('matrice'::pg_catalog.regnamespace, 'matrice_private'::pg_catalog.regnamespace)"
        "   and not coalesce(p.proconfig @> array['search_path=pg_catalog, pg_temp'], false)").fetchall()
    # Immutable functions of the engine are C and resolve no names, and _plain_price and _find_model only names with their schema.
    loose = [name for name, _ in loose if name.split("(")[0] not in ("matrice.count_tokens", "matrice.tokenize", "matrice.detokenize",
                                                                     "matrice.truncate_tokens", "matrice.chunk_text", "matrice._price_catalogue",
                                                                     "matrice._analysis", "matrice._index_words", "matrice._deletion", "matrice._find_quote", "matrice._negate_latencies",
                                                                     "matrice._merge_words", "matrice._live_texts", "matrice._whole_sentences",
                                                                     "matrice._normal_text", "matrice._likeness", "matrice._sketch",
                                                                     "matrice._read_embeddings", "matrice._little_endian", "matrice._norm", "matrice._read_usage", "matrice._known_usage", "matrice._plain_price",
                                                                     "matrice._find_model", "matrice._undated_name", "matrice._has_request_fee", "matrice._report",
                                                                     "matrice._sketch_latencies", "matrice._merge_latencies", "matrice._latency_percentiles",
                                                                     "matrice._seal", "matrice._is_sealed", "matrice._diff_lines",
                                                                     "matrice._unified_diff")]
    assert loose == []
