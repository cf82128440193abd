"""What one tenant, or a client with raw SQL, can learn of the word index: nothing of another's words."""

import json

import psycopg
import pytest

from crowds import EDITORS, OWNER, new_project, session
from plain_bm25 import Query, difference, stems, visible_texts
from test_word_index_races import add_source

STRANGER = "00000000-0000-0000-0000-0000000057aa"
TABLES = ["word_segments", "word_blocks", "word_deletions"]
VECTOR = "[1,2,3]"
SEARCHES = {
    "search_chunks": ("select * from matrice.search_chunks(%s)", ["{word}"]),
    "search_chunks of all words": ("select * from matrice.search_chunks(%s, words => 'all')", ["{word} lantern"]),
    "search_chunks of a beginning": ("select * from matrice.search_chunks(%s)", ["{word:.3}*"]),
    "search_chunks of a phrase": ("select * from matrice.search_chunks(%s)", ['"{word} lantern"']),
    "search_chunks without a word": ("select * from matrice.search_chunks(%s)", ["lantern -{word}"]),
    "search_chunks of the project": ("select * from matrice.search_chunks(%s, '{theirs}')", ["{word}"]),
    "search_chunks with a filter": ("select * from matrice.search_chunks(%s, filter => '{{\"type\": \"secret\"}}')", ["{word}"]),
    "hybrid_search": ("select * from matrice.hybrid_search(%s, %s, model => 'tiny')", ["{word}", VECTOR]),
    "hybrid_search of both": ("select * from matrice.hybrid_search(%s, %s, model => 'tiny')", ["lantern {word}", VECTOR]),
    "hybrid_search of the project": ("select * from matrice.hybrid_search(%s, %s, '{theirs}', model => 'tiny')", ["{word}", VECTOR]),
    "build_context of the project": ("select * from matrice.build_context('{theirs}', %s)", ["{word}"]),
    "matching_of_member": ("select * from matrice_private.matching_of_member(%s, 'any', array['{theirs}']::uuid[], 10, '{{}}')", ["{word}"]),
    "outdated_of_member": ("select matrice_private.outdated_of_member('{theirs}', 10)", []),
    "word_candidates": ("select * from matrice_private.word_candidates(%s, 'any', array['{theirs}']::uuid[], 10, '{{}}')", ["{word}"]),
    "shown_places": ("select matrice_private.shown_places(array['{chunk}']::uuid[], null)", []),
    "reindex_text": ("select matrice.reindex_text('{theirs}')", []),
}


@pytest.fixture
def database(matrice_database):
    database = matrice_database()
    database.psql("insert into matrice.embedding_models (model, dimensions) values ('tiny', 3)")
    return database


def outcome(connection, query, arguments):
    """Rows, notices, or the error with all that it says."""
    notices = []
    connection.add_notice_handler(notice := lambda said: notices.append((said.sqlstate, said.message_primary, said.message_detail, said.message_hint)))
    try:
        return connection.execute(query, arguments).fetchall(), notices
    except psycopg.Error as error:
        return error.sqlstate, error.diag.message_primary, error.diag.message_detail, error.diag.message_hint
    finally:
        connection.remove_notice_handler(notice)


def test_searches_of_a_stranger_answer_the_same_whatever_a_project_writes(database):
    with database.connect() as owner:
        theirs = new_project(owner)
        own = owner.execute("insert into matrice.projects (name, created_by, settings) values ('Own', %s, %s) returning id",
                            [STRANGER, json.dumps({"embedding_model": "tiny"})]).fetchone()[0]
        source = add_source(owner, own)
        owner.execute("insert into matrice.source_chunks (source_id, chunk_index, content) values (%s, 0, 'lantern meadow'), (%s, 1, 'orchard lantern')", [source, source])
        owner.execute("insert into matrice.chunk_embeddings (chunk_id, model, embedding) select id, 'tiny', '[1,2,3]' from matrice.source_chunks")
        secret = add_source(owner, theirs)
        chunk = owner.execute("insert into matrice.source_chunks (source_id, chunk_index, content) values (%s, 0, 'nothing yet') returning id", [secret]).fetchone()[0]
    editor, stranger = session(database, EDITORS[0]), session(database, STRANGER)

    def ask():
        filled = {"theirs": theirs, "word": "merger", "chunk": chunk}
        return {name: outcome(stranger, query.format(**filled), [argument.format(**filled) for argument in arguments])
                for name, (query, arguments) in SEARCHES.items()}

    before = ask()
    assert {name for name, answer in before.items() if answer[0] == "42501"} == set()
    assert before["search_chunks of a beginning"] == before["search_chunks"] == ([], []) and len(before["hybrid_search of both"][0]) == 2
    writes = ["update matrice.source_chunks set content = 'merger lantern merger'",
              "insert into matrice.source_chunks (source_id, chunk_index, content) select source_id, n, 'lantern meadow merger' from matrice.source_chunks, generate_series(1, 200) n",
              "update matrice.projects set settings = settings || '{\"language\": \"french\"}'",
              "delete from matrice.source_chunks where chunk_index % 2 = 0"]
    for write in writes:
        user = session(database, OWNER) if "settings" in write else editor
        assert user.execute(write).rowcount > 0, write
        assert ask() == before, write
    # A control: who is a member finds it all.
    assert len(session(database, EDITORS[1]).execute("select * from matrice.search_chunks('merger', match_count => 500)").fetchall()) == 100


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
@pytest.mark.parametrize("table", TABLES)
def test_tables_of_the_word_index_are_closed_to(database, role, table):
    with database.connect() as connection:
        new_project(connection)
        connection.execute("do $$ begin create role anon nologin; exception when duplicate_object then end $$")
        connection.execute(f"set role {role}")
        for statement in ("select 1 from {}", "select count(*) from {}", "insert into {} (project_id) values (gen_random_uuid())",
                          "update {} set project_id = project_id", "delete from {}", "truncate {}", "select 1 from {} for update", "lock table {}",
                          "copy {} to stdout", "analyze {}"):
            notices = []
            connection.add_notice_handler(lambda said, notices=notices: notices.append(said.message_primary))
            try:
                with connection.transaction():
                    connection.execute(statement.format(f"matrice_private.{table}"))
                refused = any("permission denied" in said or "skipping" in said for said in notices)
            except psycopg.errors.InsufficientPrivilege:
                refused = True
            assert refused, statement


def test_functions_of_the_engine_for_the_word_index_are_closed_to_clients(database):
    engine = [name for (name,) in database.rows(
        "select oid::regprocedure::text from pg_proc where pronamespace = 'matrice'::regnamespace and proname like E'\\\\_%' order by 1")]
    assert {"_index_words", "_merge_words", "_rank_words", "_deletion", "_live_texts", "_query_words"} <= {name.split("(")[0].split(".")[-1] for name in engine}
    internal = [f"matrice_private.{name}" for name in ("add_segment", "merge_some", "merge_words", "index_words", "forget_rows", "rebuild_word_index")]
    open_to = database.rows(
        "select r, f from unnest(array['public', 'authenticated', 'service_role']) r,"
        "       unnest(%s::text[] || array(select p.oid::regprocedure::text from pg_proc p where p.oid::regproc::text = any (%s))) f"
        " where has_function_privilege(r, f, 'execute')", [engine, internal])
    assert open_to == []
    assert database.rows("select 1 where has_function_privilege('authenticated', 'matrice_private.matching_chunks(text, text, uuid[], integer, jsonb, uuid[], text)', 'execute')"
                         "  or has_function_privilege('authenticated', 'matrice_private.outdated_chunks(uuid, integer)', 'execute')") == []


@pytest.mark.parametrize("arguments", ["null, 'any', {}, 10, '{{}}'", "'amber', null, {}, 10, '{{}}'", "'amber', 'any', {}, null, '{{}}'",
                                       "'amber', 'any', null, 10, '{{}}'", "'amber', 'any', {}, 10, null", "'amber', 'any', {}, 10, '{{}}', null",
                                       "'amber', 'any', {}, 10, '{{}}', array[null]::uuid[]", "'amber', 'any', {}, -1, '{{}}'"])
@pytest.mark.parametrize("function", ["matching_of_member", "word_candidates"])
def test_helpers_with_null_for_an_argument_raise_no_error_of_the_server(database, function, arguments):
    """Any client with SQL may call them."""
    with database.connect() as connection:
        project = new_project(connection)
        connection.execute("insert into matrice.source_chunks (source_id, chunk_index, content) values (%s, 0, 'amber')", [add_source(connection, project)])
    given = arguments.format(f"array['{project}']::uuid[]")
    answer = outcome(session(database, EDITORS[0]), f"select * from matrice_private.{function}({given})", [])
    assert answer[0] not in ("XX000", "XX001", "XX002"), answer


@pytest.mark.parametrize("table", ["source_chunks", "context_sources", "projects"])
def test_truncate_empties_the_word_index_too(database, table):
    """Triggers for rows do not see what TRUNCATE removes."""
    with database.connect() as connection:
        project = new_project(connection)
        source = add_source(connection, project)
        chunk = "insert into matrice.source_chunks (source_id, chunk_index, content) values (%s, 0, 'amber'), (%s, 1, 'amber amber'), (%s, 2, 'quarry')"
        connection.execute(chunk, [source] * 3)
        connection.execute(f"truncate matrice.{table} cascade")
        assert connection.execute("select count(*) from matrice_private.word_segments").fetchone()[0] == 0
        if table == "projects":
            project = new_project(connection)
        if table != "source_chunks":
            source = add_source(connection, project)
        connection.execute(chunk, [source] * 3)
        with connection.transaction():
            assert difference(connection, Query(["amber"]), project, visible_texts(connection), stems(connection)) is None
