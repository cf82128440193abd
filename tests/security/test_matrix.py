"""Who may do what, as two tables a person can read: matrix.txt is compared with what the database answers.

A table or function that is new fails here until it has a line. After reading the difference:
`make matrix` rewrites the file.
"""

import os
from pathlib import Path

import psycopg
import pytest

from personas import IDS, PERSONAS, TOKEN, USERS, A, B, become, build

GOLDEN = Path(__file__).with_name("matrix.txt")
CHUNK = IDS["chunk"]

# For each table: a row of project A, a change to it that is allowed in itself, and a new row.
TABLES = {
    "projects": (f"id = '{A}'", "name = 'x'", "(name) values ('new')"),
    "user_projects": (f"user_id = '{USERS['member to change']}' and project_id = '{A}'", "role = 'editor'",
                      f"values (gen_random_uuid(), '{A}', 'viewer')"),
    "project_invitations": (f"id = '{IDS['invitation']}'", "role = 'editor', invited_by = matrice_private.current_user_id()",
                            f"(project_id, email, token_hash) values ('{A}', 'x@y.z', sha256('x'))"),
    "pillars": (f"id = '{IDS['pillar']}'", "content = 'x'", f"(project_id, code, name) values ('{A}', 'P2', 'acteurs')"),
    "pillar_versions": (f"pillar_id = '{IDS['pillar']}'", "content = 'x'",
                        f"(pillar_id, version, project_id, content, metadata) values ('{IDS['pillar']}', 9, '{A}', '', '{{}}')"),
    "pillar_labels": (f"pillar_id = '{IDS['pillar']}'", "label = 'x'",
                      f"(project_id, pillar_id, label, number) values ('{A}', '{IDS['pillar']}', 'x', 9)"),
    "phase_changes": (f"project_id = '{A}'", "phase = 'P6'", f"(project_id, number, phase, entered_at) values ('{A}', 9, 'P6', now())"),
    "context_sources": (f"id = '{IDS['source']}'", "name = 'x'", f"(project_id, name) values ('{A}', 'x')"),
    "source_texts": (f"source_id = '{IDS['source']}'", "content = 'x'",
                     f"(source_id, version, project_id, content, characters, format, max_tokens, overlap_tokens) values ('{IDS['source']}', 9, '{A}', 'x', 1, 'text', 5, 0)"),
    "source_chunks": (f"id = '{CHUNK}'", "metadata = '{}'", f"(source_id, project_id, chunk_index, content) values ('{IDS['source']}', '{A}', 7, 'x')"),
    "chunk_embeddings": (f"id = '{IDS['embedding']}'", "created_at = now()",
                         f"(chunk_id, project_id, model, embedding) values ('{CHUNK}', '{A}', 'text-embedding-ada-002', array_fill(0.1, array[1536])::extensions.vector)"),
    "embedding_leases": (f"chunk_id = '{CHUNK}'", "last_error = 'x'",
                         f"(chunk_id, project_id, model, leased_until) values ('{CHUNK}', '{A}', 'voyage-3.5', now())"),
    "insights": (f"id = '{IDS['insight']}'", "title = 'x'", f"(project_id, type, title, content) values ('{A}', 't', 't', 'c')"),
    "insight_evidence": (f"insight_id = '{IDS['insight']}'", "note = 'x'",
                         f"(project_id, insight_id, kind, is_for, evidence_key, witness) values ('{A}', '{IDS['insight']}', 'service', true, 'x', 'x')"),
    "insight_candidates": (f"insight_id = '{IDS['insight']}'", "likeness = 0",
                           f"(project_id, insight_id, candidate_id, found_by, likeness) values ('{A}', '{IDS['newer insight']}', '{IDS['insight']}', 'words', 1)"),
    "insight_embeddings": (f"insight_id = '{IDS['insight']}'", "created_at = now()",
                           f"(insight_id, project_id, model, embedding) values ('{IDS['insight']}', '{A}', 'text-embedding-ada-002', array_fill(0.1, array[1536])::extensions.vector)"),
    "insight_versions": (f"insight_id = '{IDS['insight']}'", "title = 'x'",
                         f"(project_id, insight_id, type, title, content, confidence, volatility, is_merged) values ('{A}', '{IDS['insight']}', 't', 't', 'c', 1, 'fast', false)"),
    "workflow_runs": (f"id = '{IDS['run']}'", "status = 'failed'", f"(project_id, workflow_id) values ('{A}', 'w')"),
    "workflow_steps": (f"id = '{IDS['step']}'", "latency_ms = 1",
                       f"(run_id, project_id, step_name, status) values ('{IDS['run']}', '{A}', 's', 'success')"),
    "conversations": (f"id = '{IDS['conversation']}'", "title = 'x'", f"(project_id) values ('{A}')"),
    "conversation_turns": (f"conversation_id = '{IDS['conversation']}'", "content = 'x'",
                           f"(project_id, conversation_id, role, content) values ('{A}', '{IDS['conversation']}', 'user', 'x')"),
    "answers": (f"run_id = '{IDS['run']}'", "question = 'x'", f"(project_id, run_id, question) values ('{A}', '{IDS['run without answer']}', 'x')"),
    "answer_passages": (f"run_id = '{IDS['run']}'", "text_hash = text_hash",
                        f"(project_id, run_id, chunk_id, text_hash) values ('{A}', '{IDS['run']}', gen_random_uuid(), sha256('x'))"),
    "answer_ratings": (f"run_id = '{IDS['run']}'", "rating = 0",
                       f"(project_id, run_id, user_id, rating) values ('{A}', '{IDS['run']}', coalesce(matrice_private.current_user_id(), gen_random_uuid()), 1)"),
    "audit_log": (f"project_id = '{A}'", "action = 'x'", f"(project_id, action) values ('{A}', 'x')"),
    "quotas": ("quota = 'sources_per_project'", "allowed = 5", "values ('x', 1, 1, 'x')"),
    "project_usage": (f"project_id = '{A}'", "bytes = 0", f"(project_id, bytes, sources) values ('{A}', 1, 1)"),
    "embedding_models": ("model = 'gte-small'", "dimensions = 384", "(model, dimensions) values ('x', 3)"),
    "model_prices": ("model = 'gpt-4o'", "usd_per_million = 0", "(model, provider, unit, usd_per_million) values ('x', 'x', 'input', 1)"),
    "project_prices": (f"project_id = '{A}'", "factor = 0", f"(project_id, model, valid_from, same_as) values ('{A}', 'x', now(), 'gpt-4o')"),
    "budgets": (f"id = '{IDS['budget']}'", "limit_usd = 9",
                f"(project_id, name, limit_usd, period, time_zone, is_hard, thresholds) values ('{A}', 'x', 5, 'day', 'UTC', true, '{{1}}')"),
    "budget_events": (f"project_id = '{A}'", "spent_usd = 0",
                      f"(project_id, budget_id, period_start, threshold, limit_usd, spent_usd) values ('{A}', '{IDS['budget']}', now(), 2, 5, 5)"),
    "project_imports": (f"project_id = '{A}'", "next_line = 9",
                        f"(project_id, source_project_id, has_new_ids, header, next_line, hash, imported_by) values ('{A}', '{A}', false, '{{}}', 3, 1, '{A}')"),
    "model_price_windows": ("model = 'deepseek-flash'", "until_utc = until_utc", "values ('x', '{1}', '01:00', '02:00')"),
    "model_price_multipliers": ("model = 'claude-sonnet-5'", "factor = 1", "values ('x', 'speed', 'x', 1)"),
}
VECTOR = "array_fill(0.1, array[1536])::extensions.vector"
# For each function of the API: a call that concerns project A.
CALLS = {
    "count_tokens": "('x')", "tokenize": "('x')", "detokenize": "('{1}')", "truncate_tokens": "('x', 1)", "chunk_text": "('x')",
    "analyze_text": "('x')", "_text_vector": "('x', 'simple')", "_analysis": "('simple')", "_query_words": "('x', 'any', 'simple 1')",
    "_highlight": "('x', 'x', 'simple', 1, false)", "_index_words": "('{}', '{}')",
    "_deletion": "('00000000-0000-0000-0000-000000000001', '')", "_merge_words": "('{}', '{}', '{}', '{}')", "_live_texts": "('{}', '{}', 1)",
    "_rank_words": "('x', 'any', '{}', '{}', '{}', '{}', '{}', null, null, 1)", "_whole_sentences": "('x', 1)", "_find_quote": "('{x}', '{0}', 'x', 1)",
    "_normal_text": "('x')", "_likeness": "('', '')", "_sketch": f"('', '{A}')",
    "_nearest_chunks": f"('{{{A}}}', 'text-embedding-3-small', 'x'::text, 1)",
    "_build_codes": f"('{A}', 'text-embedding-3-small', '{{}}')",
    "_train_cells": f"('{A}', 'text-embedding-3-small', '{{}}', 8, 8)",
    "_cell_codes": f"('{A}', 'text-embedding-3-small', '{{}}', '{{}}', '', '{{}}')",
    "_coded_chunks": "('')",
    "_diff_lines": "('x', 'y', 3)", "_unified_diff": "('x', 'y', 3, 'a', 'b')",
    "_read_embeddings": "('[]')", "_little_endian": "('{1}')", "_norm": "('x'::text, 1)", "_read_usage": "('{}', 1, 1)", "_known_usage": "('{}')", "_plain_price": f"('{A}', 'gpt-4o', '{{}}', 1, 1, now())",
    "_find_model": "('gpt-4o', null, true)", "_undated_name": "('x')", "_has_request_fee": "('x')",
    "_report": "('{}', 'en')",
    "_sketch_latencies": "('{1}')", "_negate_latencies": "('')", "_merge_latencies": "('{}')", "_latency_percentiles": "('{}', '{0.5}')",
    "_seal": "(gen_random_uuid(), gen_random_uuid(), 'x', 1, '{}', '', '{}')",
    "_is_sealed": "(gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'x', 1, '{}', '', '{}')",
    "_price_catalogue": "()", "migrate": "()",
    "create_project": "('x')", "set_phase": f"('{A}', 'P2')",
    "save_pillar": f"('{A}', 'P1', 'x')", "restore_pillar": f"('{A}', 'P1', 1)", "pillar_history": f"('{A}', 'P1')",
    "pillar_catalog": f"('{A}')", "diff_pillar": f"('{A}', 'P1', 1)", "diff_pillar_text": f"('{A}', 'P1', 1)", "as_of": f"('{A}', now())",
    "label_pillar": f"('{A}', 'P1', 1, 'x')", "unlabel_pillar": f"('{A}', 'P1', 'draft')", "label_history": f"('{A}')", "phase_history": f"('{A}')",
    "invite_member": f"('{A}', 'x@y.z')", "accept_invite": f"('{TOKEN}')", "list_members": f"('{A}')",
    "set_member_role": f"('{A}', '{USERS['member to change']}', 'editor')", "remove_member": f"('{A}', '{USERS['member to change']}')",
    "ingest_source": f"('{A}', 'x', 'x')", "chunk_source": f"('{IDS['source']}', 'x')", "reindex_text": f"('{A}')", "claim_chunks": f"(project_id => '{A}')",
    "store_embeddings": f"('text-embedding-3-small', '{{{CHUNK}}}', jsonb_build_array(to_jsonb(array_fill(0.1, array[1536]))))",
    "fail_chunks": f"('gte-small', '{{{CHUNK}}}', 'x')", "failed_chunks": f"('{A}')", "waiting_chunks": f"('{A}')", "retry_failed": f"('{A}')",
    "register_model": "('x', 3)", "query_model": f"('{A}')", "model_coverage": f"('{A}')", "switch_embedding_model": f"('{A}', 'gte-small')",
    "cancel_model_switch": f"('{A}')", "drop_embeddings": f"('{A}', 'gte-small')",
    "truncate_embeddings": f"('{A}', 'short')", "reembed": f"('{A}')",
    "sync_source": f"('{A}', 'x', 'x')", "sync_sources": f"('{A}', '{{x}}')", "set_source_error": f"('{IDS['source']}', 'x')",
    "source_progress": f"('{A}')", "source_text": f"('{IDS['source']}')", "source_history": f"('{IDS['source']}')",
    "restore_source": f"('{IDS['source']}', 1)", "rechunk": f"('{A}')",
    "ingest_chunks": f"('{A}', 'x', '[{{\"content\": \"x\"}}]')", "replace_chunks": f"('{IDS['source']}', '[{{\"content\": \"x\"}}]')",
    "match_chunks": f"({VECTOR}, '{A}')", "search_chunks": f"('words', '{A}')", "hybrid_search": f"('words', {VECTOR}, '{A}')",
    "rerank_chunks": f"(jsonb_build_object('{CHUNK}', 1))", "search_recall": f"('{A}')",
    "evaluate_search": f"(jsonb_build_array(jsonb_build_object('query_text', 'words', 'relevant', jsonb_build_object('{CHUNK}', 1))), '{A}')",
    "build_context": f"('words', {VECTOR}, '{A}')", "find_quote": f"('words', '{A}')", "match_documents": f"({VECTOR})",
    "start_conversation": f"('{A}')", "add_turn": f"('{IDS['conversation']}', 'user', 'x')",
    "conversation_context": f"('{IDS['conversation']}', 'words', {VECTOR})",
    "record_answer": f"('{IDS['run']}', 'x', '[]')", "rate_answer": f"('{IDS['run']}', 1)", "evaluation_set": f"('{A}')",
    "record_insight": f"('{A}', 't', 't', 'c')", "supersede_insight": f"('{IDS['insight']}', '{IDS['newer insight']}')",
    "confirm_insight": f"('{IDS['insight']}')", "contradict_insight": f"('{IDS['insight']}')", "retract_insight": f"('{IDS['insight']}')",
    "merge_insights": f"('{IDS['insight']}', '{{{IDS['newer insight']}}}')", "insights_review": f"('{A}')",
    "insight_lineage": f"('{IDS['insight']}')", "known_at": f"('{A}')",
    "evidence_source": f"((select e from matrice.insight_evidence e where insight_id = '{IDS['insight']}'))",
    "evidence_chunk": f"((select e from matrice.insight_evidence e where insight_id = '{IDS['insight']}'))",
    "evidence_run": f"((select e from matrice.insight_evidence e where insight_id = '{IDS['insight']}'))",
    "evidence_step": f"((select e from matrice.insight_evidence e where insight_id = '{IDS['insight']}'))",
    "source_insights": f"((select s from matrice.context_sources s where id = '{IDS['source']}'))",
    "chunk_insights": f"((select c from matrice.source_chunks c where id = '{CHUNK}'))",
    "run_insights": f"((select r from matrice.workflow_runs r where id = '{IDS['run']}'))",
    "search_insights": f"('words', '{A}')",
    "start_run": f"('{A}', 'w', 'e')", "record_step": f"('{IDS['run']}', 's', 'success')", "finish_run": f"('{IDS['run']}', 'completed')",
    "record_steps": f"('[{{\"run_id\": \"{IDS['run']}\", \"step_name\": \"s\", \"status\": \"success\"}}]')",
    "correct_step": f"('{IDS['step']}', 'x', 1)", "reap_runs": "()",
    "reprice": f"('{A}', now() - interval '1 day')", "price_of": f"('gpt-4o', project_id => '{A}')", "set_price": f"('{A}', 'gpt-4o')", "load_prices": "('{\"models\": {}}')",
    "calculate_cost": "('gpt-4o', 1)", "workflow_metrics": f"('{A}', now() - interval '1 day')", "report": f"('{A}')",
    "rebuild_metrics": f"('{A}')", "purge_steps": f"('{A}', '2020-01-01')", "top_runs": f"('{A}', '2020-01-01')",
    "top_steps": f"('{A}', '2020-01-01')", "step_errors": f"('{A}', '2020-01-01')",
    "set_budget": f"('{A}', 1)", "remove_budget": f"('{A}')", "reserve_budget": f"('{A}', 0.1)", "budget_status": f"('{A}')",
    "settle_budget": f"('{IDS['reservation']}', 0.1)", "release_budget": f"('{IDS['reservation']}')",
    "export_project": f"('{A}')", "export_lines": f"('{A}')", "export_markdown": f"('{A}')",
    # Everybody who has an id may import: this is refused for its line, and not for the caller.
    "import_project": f"('{{x,y}}', '{A}')",
    "refuse_planned_counts": "()",
}


@pytest.fixture(scope="module")
def connection():
    with psycopg.connect(dbname="postgres", user="postgres", autocommit=True) as server:
        server.execute("drop database if exists matrice_matrix with (force)")
        server.execute("create database matrice_matrix")
    with psycopg.connect(dbname="matrice_matrix", user="postgres", autocommit=True) as connection:
        connection.execute("create schema extensions; create extension vector schema extensions; create extension matrice;"
                           "grant usage on schema extensions to public")
        build(connection)
        connection.execute("select matrice.register_model('short', 512, truncated_from => 'text-embedding-3-small')")
        yield connection


def attempt(connection, persona, statement, outcome):
    """What happens when the persona runs a statement; nothing of it stays."""
    with connection.transaction(force_rollback=True):
        become(connection, persona)
        try:
            with connection.transaction():
                return outcome(connection.execute(statement))
        except psycopg.Error as error:
            assert error.sqlstate not in ("XX000", "42601", "42703", "42883"), f"{persona}: {statement}: {error}"
            return error.sqlstate


def rows(cursor):
    return "yes" if cursor.rowcount else "none"


def table_lines(connection):
    for table, (row, change, new) in TABLES.items():
        verbs = {
            "select": f"select 1 from matrice.{table} where {row}",
            "insert": f"insert into matrice.{table} {new}",
            "update": f"update matrice.{table} set {change} where {row}",
            "delete": f"delete from matrice.{table} where {row}",
        }
        if table != "projects" and f"'{A}'" in new:
            verbs["move"] = f"update matrice.{table} set project_id = '{B}' where {row}"
        for verb, statement in verbs.items():
            yield [table if verb == "select" else "", verb, *(attempt(connection, persona, statement, rows) for persona in PERSONAS)]


def call_lines(connection):
    def found(cursor):
        answers = cursor.fetchall()
        return f"{len(answers)} rows" if returns_set[function] and len(answers) != 1 else "1 row" if returns_set[function] else "yes"

    returns_set = dict(connection.execute(
        "select proname, proretset from pg_proc where pronamespace = 'matrice'::regnamespace").fetchall())
    for function, arguments in CALLS.items():
        statement = f"select * from matrice.{function}{arguments}"
        yield [function, *(attempt(connection, persona, statement, found) for persona in PERSONAS)]


def render(header, lines):
    lines = [header, *lines]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def test_every_persona_can_do_what_matrix_txt_says(connection):
    text = "\n".join([
        "What each persona can do with the rows of one project, and with the reference tables.",
        "yes: done; none: not seen, nothing done; otherwise the SQLSTATE. move: to another project, where the persona has the same role.",
        "", render(["table", "verb", *PERSONAS], table_lines(connection)),
        "", "What each function of the API does for each persona when it is called for that project.",
        "", render(["function", *PERSONAS], call_lines(connection)), ""])
    if os.environ.get("UPDATE"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_matrix_txt_has_every_table(connection):
    tables = {row[0] for row in connection.execute(
        "select relname from pg_class where relnamespace = 'matrice'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')")}
    assert tables == set(TABLES)


def test_matrix_txt_has_every_function(connection):
    functions = {row[0] for row in connection.execute("select proname from pg_proc where pronamespace = 'matrice'::regnamespace")}
    assert functions == set(CALLS)


def test_matrice_private_grants_no_table_to_anon_or_authenticated(connection):
    granted = connection.execute(
        "select c.relname, r.rolname from pg_class c, pg_roles r where c.relnamespace = 'matrice_private'::regnamespace"
        " and c.relkind in ('r', 'v') and r.rolname in ('anon', 'authenticated') and has_table_privilege(r.rolname, c.oid, 'select, insert, update, delete')")
    assert granted.fetchall() == []


def test_security_definer_functions_are_private_pinned_and_justified(connection):
    functions = connection.execute(
        "select p.oid::regprocedure::text, p.pronamespace::regnamespace::text, p.proconfig, obj_description(p.oid),"
        "       has_function_privilege('anon', p.oid, 'execute'), p.proowner = n.nspowner"
        "  from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
        " where n.nspname in ('matrice', 'matrice_private') and p.prosecdef").fetchall()
    assert len(functions) >= 5
    for name, schema, config, comment, anon, owned in functions:
        assert schema == "matrice_private", name
        # Some also set how the planner works, which gives nobody a right.
        assert [setting for setting in config if not setting.startswith(("enable_", "plan_cache_mode=", "jit=", "gin_fuzzy_search_limit="))] == ["search_path=pg_catalog, pg_temp"], name
        assert "SECURITY DEFINER:" in comment, name
        assert not anon and owned, name
