"""Two sessions at the same moment."""

import threading

import psycopg
import pytest

from conftest import sign_in
from crowds import run, session, waits

ALICE, BOB = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"


def outcome(connection, statement, arguments, results):
    try:
        connection.execute(statement, arguments)
        connection.commit()
        results.append("done")
    except psycopg.Error as error:
        connection.rollback()
        results.append(error.sqlstate)


def both(database, first, second, isolation=psycopg.IsolationLevel.READ_COMMITTED):
    """Runs (user, statement, arguments) twice: the second begins while the first has not committed."""
    one, two = (session(database, user, autocommit=False) for user, *_ in (first, second))
    results = []
    # Both have their snapshots before either writes.
    for connection in (one, two):
        connection.isolation_level = isolation
        connection.execute("select 1 from matrice.projects")
    one.execute(first[1], first[2])
    waiting = threading.Thread(target=outcome, args=(two, second[1], second[2], results))
    waiting.start()
    waits(database, waiting)
    one.commit()
    waiting.join(30)
    assert len(results) == 1
    one.close(), two.close()
    return results[0]


@pytest.fixture
def project(matrice_database):
    database = matrice_database()
    with database.connect() as connection:
        sign_in(connection, ALICE)
        database.project = connection.execute("select matrice.create_project('Race')").fetchone()[0]
    return database


ISOLATION = [psycopg.IsolationLevel.READ_COMMITTED, psycopg.IsolationLevel.REPEATABLE_READ]


@pytest.mark.parametrize("isolation", ISOLATION, ids=lambda level: level.name)
def test_remove_member_refuses_the_second_of_two_last_owners_at_once(project, isolation):
    project.rows("insert into matrice.user_projects values (%s, %s, 'owner')", [BOB, project.project])
    leave = "select matrice.remove_member(%s, %s)"
    second = both(project, (ALICE, leave, [project.project, ALICE]), (BOB, leave, [project.project, BOB]), isolation)
    assert second == ("PT409" if isolation == psycopg.IsolationLevel.READ_COMMITTED else "40001")
    assert project.value("select count(*) from matrice.user_projects where role = 'owner'") == 1


@pytest.mark.parametrize("isolation", ISOLATION, ids=lambda level: level.name)
def test_set_member_role_refuses_the_second_of_two_owners_who_demote_each_other(project, isolation):
    project.rows("insert into matrice.user_projects values (%s, %s, 'owner')", [BOB, project.project])
    demote = "select matrice.set_member_role(%s, %s, 'viewer')"
    second = both(project, (ALICE, demote, [project.project, BOB]), (BOB, demote, [project.project, ALICE]), isolation)
    assert second in ("PT409", "40001")
    assert project.value("select count(*) from matrice.user_projects where role = 'owner'") == 1


def test_accept_invite_takes_a_token_once_from_two_users_at_once(project):
    with project.connect() as connection:
        sign_in(connection, ALICE)
        token = connection.execute("select matrice.invite_member(%s, 'a@b.c')", [project.project]).fetchone()[0]
    other = "00000000-0000-0000-0000-00000000000c"
    accept = "select matrice.accept_invite(%s)"
    assert both(project, (BOB, accept, [token]), (other, accept, [token])) == "PT404"
    assert project.rows("select user_id::text from matrice.user_projects where role = 'viewer'") == [(BOB,)]


def test_claim_chunks_gives_two_workers_at_once_different_chunks(project):
    with project.connect() as connection:
        sign_in(connection, ALICE)
        connection.execute("select matrice.ingest_source(%s, 's', %s, max_tokens => 4, overlap_tokens => 0)",
                           [project.project, "one two three four. " * 40])
    workers = [session(project, ALICE, autocommit=False) for _ in range(2)]
    claims = [{row[0] for row in worker.execute("select chunk_id from matrice.claim_chunks(batch_size => 10)").fetchall()} for worker in workers]
    for worker in workers:
        worker.commit()
        worker.close()
    assert len(claims[0]) == len(claims[1]) == 10
    assert not claims[0] & claims[1]


def test_save_pillar_refuses_the_second_of_two_equal_expected_versions_at_once(project):
    save = "select matrice.save_pillar(%s, 'P1', %s, expected_version => 1)"
    project.rows("insert into matrice.user_projects values (%s, %s, 'editor')", [BOB, project.project])
    second = both(project, (ALICE, save, [project.project, "alice"]), (BOB, save, [project.project, "bob"]))
    assert second == "PT409"
    assert project.value("select content from matrice.pillars where code = 'P1'") == "alice"


def test_sixteen_savers_at_once_lose_no_version(project):
    saves = 10

    def save(number):
        def job():
            with session(project, ALICE) as connection:
                for n in range(saves):
                    connection.execute("select matrice.save_pillar(%s, 'P1', %s)", [project.project, f"{number} {n}"])
        return job

    run(*(save(number) for number in range(16)))
    versions = project.rows("select v.version, v.content, v.saved_at from matrice.pillar_versions v join matrice.pillars p on p.id = v.pillar_id"
                            " where p.code = 'P1' order by v.version")
    assert [version for version, *_ in versions] == list(range(1, 16 * saves + 2))
    assert {content for _, content, _ in versions[1:]} == {f"{number} {n}" for number in range(16) for n in range(saves)}
    # as_of finds versions by their times.
    assert [saved_at for *_, saved_at in versions] == sorted(saved_at for *_, saved_at in versions)


def test_of_sixteen_equal_expected_versions_at_once_one_wins(project):
    results = []

    def save(number):
        def job():
            with session(project, ALICE, autocommit=False) as connection:
                outcome(connection, "select matrice.save_pillar(%s, 'P1', %s, expected_version => 1)", [project.project, str(number)], results)
        return job

    run(*(save(number) for number in range(16)))
    assert sorted(results) == ["PT409"] * 15 + ["done"]
    assert project.value("select count(*) from matrice.pillar_versions v join matrice.pillars p on p.id = v.pillar_id where p.code = 'P1'") == 2


def test_a_release_label_at_two_versions_at_once_stays_at_the_first(project):
    with project.connect() as connection:
        sign_in(connection, ALICE)
        connection.execute("select matrice.save_pillar(%s, 'P1', 'x')", [project.project])
    label = "select matrice.label_pillar(%s, 'P1', %s, 'v1', is_release => true)"
    assert both(project, (ALICE, label, [project.project, 1]), (ALICE, label, [project.project, 2])) == "PT409"
    assert project.value("select version from matrice.pillar_labels") == 1


def test_phases_set_at_once_are_each_in_the_history(project):
    phase = "select matrice.set_phase(%s, %s)"
    assert both(project, (ALICE, phase, [project.project, "P2"]), (ALICE, phase, [project.project, "P3"])) == "done"
    assert project.rows("select number, phase from matrice.phase_changes order by number") == [(1, "P1"), (2, "P2"), (3, "P3")]


def test_start_run_twice_at_once_with_a_run_key_makes_one_run(project):
    start = "select matrice.start_run(%s, 'w', 'e', 'key')"
    assert both(project, (ALICE, start, [project.project]), (ALICE, start, [project.project])) == "done"
    assert project.value("select count(*) from matrice.workflow_runs") == 1


def test_create_project_twice_at_once_keeps_projects_per_user(project):
    project.rows("update matrice.quotas set allowed = 2 where quota = 'projects_per_user'")
    create = "select matrice.create_project('one more')"
    assert both(project, (ALICE, create, []), (ALICE, create, [])) == "PT402"
    assert project.value("select count(*) from matrice.projects") == 2


@pytest.mark.parametrize("user, second", [(ALICE, "done"), (BOB, "PT409")], ids=["the same user", "another"])
def test_import_project_begun_twice_at_once_makes_one_project(project, user, second):
    with project.connect() as connection:
        lines = [line for line, in connection.execute("select matrice.export_lines(%s)", [project.project])]
    begin = "select matrice.import_project(%s, '00000000-0000-4000-8000-0000000000cc', new_ids => true)"
    assert both(project, (ALICE, begin, [lines]), (user, begin, [lines])) == second
    assert project.rows("select imported_by::text, next_line, finished_at is not null from matrice.project_imports") == [(ALICE, len(lines) + 1, True)]


def test_ingest_source_in_one_project_does_not_wait_for_other_writers(project):
    """Nor does adding up the usage: there are more rows of it than are kept."""
    project.rows("insert into matrice.project_usage (project_id, bytes, sources) select %s, 1, 0 from generate_series(1, 100)", [project.project])
    before = project.value("select sum(bytes) from matrice.project_usage")
    writers = [session(project, ALICE, autocommit=False) for _ in range(3)]
    for writer in writers:
        writer.execute("select set_config('lock_timeout', '2s', false)")
        writer.execute("select matrice.ingest_source(%s, 's', 'some words')", [project.project])
    for writer in writers:
        writer.commit()
        writer.close()
    stored = project.value("select sum(bytes) from matrice.project_usage") - before
    project.rows("select matrice_private.recount_usage()")
    assert project.value("select sum(bytes) from matrice.project_usage") == before - 100 + stored
    assert project.value("select sum(sources) from matrice.project_usage") == 3


def found(database, query):
    return len(database.rows("select chunk_id from matrice.search_chunks(%s, %s)", [query, database.project]))


FRENCH = ("update matrice.projects set settings = '{\"language\": \"french\"}' where id = %s",)


def reindex(database):
    with database.connect() as connection:
        sign_in(connection, ALICE)
        return connection.execute("select matrice.reindex_text(%s)", [database.project]).fetchone()[0]


@pytest.mark.parametrize("ingest_is_first", [True, False])
def test_ingest_source_while_the_language_changes_is_found_and_reindex_text_indexes_it_in_the_new_one(project, ingest_is_first):
    """Neither waits for the other."""
    ingest, change = (ALICE, "select matrice.ingest_source(%s, 'doc', 'Nous finissons')", [project.project]), (ALICE, *FRENCH, [project.project])
    assert both(project, *((ingest, change) if ingest_is_first else (change, ingest))) == "done"
    assert found(project, "finissons") == 1
    assert (reindex(project), found(project, "finir"), reindex(project)) == (1, 1, 0)


def test_chunk_source_while_the_language_changes_is_found_and_reindex_text_indexes_it_in_the_new_one(project):
    with project.connect() as connection:
        sign_in(connection, ALICE)
        source = connection.execute("select matrice.ingest_source(%s, 'doc', 'old')", [project.project]).fetchone()[0]
    cut = (ALICE, "select * from matrice.chunk_source(%s, 'Nous finissons')", [source])
    assert both(project, cut, (ALICE, *FRENCH, [project.project])) == "done"
    assert found(project, "finissons") == 1
    reindex(project)
    assert found(project, "finir") == 1


@pytest.mark.parametrize("ingest_is_first", [True, False])
def test_ingest_source_while_the_project_stops_keeping_texts_leaves_none(project, ingest_is_first):
    ingest = (ALICE, "select matrice.ingest_source(%s, 'doc', 'A text')", [project.project])
    stop = (ALICE, "update matrice.projects set settings = '{\"keep_source_texts\": false}' where id = %s", [project.project])
    assert both(project, *((ingest, stop) if ingest_is_first else (stop, ingest))) == "done"
    assert project.value("select count(*) from matrice.source_chunks") == 1
    assert project.value("select count(*) from matrice.source_texts") == 0


@pytest.mark.parametrize("first, second, texts", [
    ("select matrice.chunk_source(%s, 'new')", "select matrice.restore_source(%s, 1)", ["old", "new", "old"]),
    ("select matrice.restore_source(%s, 1)", "select matrice.chunk_source(%s, 'new')", ["old", "new"]),
    ("select matrice.chunk_source(%s, 'new')", "select matrice.chunk_source(%s, 'new')", ["old", "new"]),
    ("select matrice.chunk_source(%s, 'new')", "select matrice.rechunk((select project_id from matrice.context_sources where id = %s))", ["old", "new"])])
def test_texts_of_a_source_at_the_same_time_are_versions_in_order(project, first, second, texts):
    with project.connect() as connection:
        sign_in(connection, ALICE)
        source = connection.execute("select matrice.ingest_source(%s, 'doc', 'old')", [project.project]).fetchone()[0]
    assert both(project, (ALICE, first, [source]), (ALICE, second, [source])) == "done"
    assert project.rows("select version, content from matrice.source_texts order by version") == list(enumerate(texts, 1))
    assert project.value("select content from matrice.source_chunks") == texts[-1]


def test_record_insight_while_the_language_changes_is_found_and_reindex_text_indexes_it_in_the_new_one(project):
    record = (ALICE, "select matrice.record_insight(%s, 'learning', 'Boîtes', 'Nous finissons')", [project.project])
    assert both(project, record, (ALICE, *FRENCH, [project.project])) == "done"
    search = "select 1 from matrice.search_insights(%s, %s)"
    assert len(project.rows(search, ["finissons", project.project])) == 1
    assert (reindex(project), len(project.rows(search, ["finir", project.project]))) == (1, 1)


def test_source_chunks_insert_while_raw_metadata_changes_is_filtered_by_the_new_one(project):
    with project.connect() as connection:
        sign_in(connection, ALICE)
        source = connection.execute("insert into matrice.context_sources (project_id, name) values (%s, 'doc') returning id", [project.project]).fetchone()[0]
    insert = (ALICE, "insert into matrice.source_chunks (source_id, chunk_index, content) values (%s, 0, 'a chunk')", [source])
    change = (ALICE, "update matrice.context_sources set raw_metadata = '{\"tag\": \"new\"}' where id = %s", [source])
    assert both(project, insert, change) == "done"
    assert len(project.rows("select 1 from matrice.search_chunks('chunk', %s, filter => '{\"tag\": \"new\"}')", [project.project])) == 1


@pytest.mark.parametrize("call", [
    "select matrice.save_pillar(%s, 'P1', 'late')", "select matrice.record_insight(%s, 'learning', 'Late', 'Too late.')",
    "select matrice.start_run(%s, 'wf', 'late')", "select matrice.ingest_source(%s, 'late', 'Too late.')",
    "select matrice.ingest_chunks(%s, 'late', '[{\"content\": \"Too late.\"}]')", "select matrice.rechunk(%s)"])
def test_writing_functions_of_a_project_that_is_deleted_meanwhile_answer_not_found(project, call):
    delete = (ALICE, "delete from matrice.projects where id = %s", [project.project])
    assert both(project, delete, (ALICE, call, [project.project])) == "PT404"


@pytest.mark.parametrize("call", ["select matrice.supersede_insight(%s, %s)", "select matrice.merge_insights(%s, array[%s]::uuid[])"])
@pytest.mark.parametrize("deleted", [0, 1])
def test_replacing_insights_of_which_one_is_deleted_meanwhile_answers_not_found(project, call, deleted):
    with project.connect() as connection:
        sign_in(connection, ALICE)
        insights = [connection.execute("select matrice.record_insight(%s, 'learning', 'Calm', %s)", [project.project, f"The wind falls {n}"]).fetchone()[0]
                    for n in range(2)]
    delete = (ALICE, "delete from matrice.insights where id = %s", [insights[deleted]])
    assert both(project, delete, (ALICE, call, insights)) == "PT404"


@pytest.mark.parametrize("is_merged_first", [True, False])
def test_what_is_said_of_an_insight_that_is_merged_meanwhile_counts_for_the_one_that_is_kept(project, is_merged_first):
    project.rows("insert into matrice.user_projects values (%s, %s, 'editor')", [BOB, project.project])
    with project.connect() as connection:
        sign_in(connection, ALICE)
        kept, merged = (connection.execute("select matrice.record_insight(%s, 'learning', 'Calm', %s)", [project.project, f"The wind falls {n}"]).fetchone()[0]
                        for n in range(2))
    merge = (ALICE, "select matrice.merge_insights(%s, array[%s]::uuid[])", [kept, merged])
    confirm = (BOB, "select matrice.confirm_insight(%s)", [merged])
    assert both(project, *((merge, confirm) if is_merged_first else (confirm, merge))) == "done"
    assert project.value("select count(*) from matrice.insight_evidence where insight_id = %s and user_id = %s", [kept, BOB]) == 1


def test_an_insight_that_is_deleted_meanwhile_is_not_found(project):
    with project.connect() as connection:
        sign_in(connection, ALICE)
        insight = connection.execute("select matrice.record_insight(%s, 'learning', 'Calm', 'The wind falls')", [project.project]).fetchone()[0]
    delete = (ALICE, "delete from matrice.insights where id = %s", [insight])
    assert both(project, delete, (ALICE, "select matrice.confirm_insight(%s)", [insight])) == "PT404"


def test_a_project_that_is_deleted_while_a_pillar_is_saved_leaves_nothing(project):
    save = (ALICE, "select matrice.save_pillar(%s, 'P1', 'late')", [project.project])
    assert both(project, save, (ALICE, "delete from matrice.projects where id = %s", [project.project])) == "done"
    for table in ("pillars", "pillar_versions", "project_usage"):
        assert project.value(f"select count(*) from matrice.{table}") == 0


def test_record_insight_twice_at_once_makes_one_insight_with_two_pieces_of_evidence(project):
    project.rows("insert into matrice.user_projects values (%s, %s, 'editor')", [BOB, project.project])
    record = "select matrice.record_insight(%s, 'learning', 'Calm', 'The wind falls')"
    assert both(project, (ALICE, record, [project.project]), (BOB, record.replace("The", "THE"), [project.project])) == "done"
    assert project.value("select count(*) from matrice.insights") == 1
    assert project.value("select count(distinct user_id) from matrice.insight_evidence") == 2


@pytest.mark.parametrize("is_recorded_first", [True, False])
def test_evidence_of_a_chunk_that_is_deleted_meanwhile_is_weak_or_not_found(project, is_recorded_first):
    with project.connect() as connection:
        sign_in(connection, ALICE)
        source = connection.execute("select matrice.ingest_source(%s, 'doc', 'The wind falls')", [project.project]).fetchone()[0]
        chunk = connection.execute("select id from matrice.source_chunks").fetchone()[0]
    record = (ALICE, "select matrice.record_insight(%s, 'learning', 'Calm', 'The wind falls', chunk_ids => array[%s::uuid])", [project.project, chunk])
    change = (ALICE, "select matrice.chunk_source(%s, 'The wind rises')", [source])
    if is_recorded_first:
        assert both(project, record, change) == "done"
        assert project.value("select count(*) from matrice.insight_evidence where changed_at is not null") == 1
    else:
        assert both(project, change, record) == "PT404"
        assert project.value("select count(*) from matrice.insights") == 0


def test_supersede_insight_at_the_same_time_closes_no_circle(project):
    with project.connect() as connection:
        sign_in(connection, ALICE)
        a, b, c, d = (connection.execute("select matrice.record_insight(%s, 'learning', %s, 'x')", [project.project, name]).fetchone()[0]
                      for name in "abcd")
        connection.execute("select matrice.supersede_insight(%s, %s), matrice.supersede_insight(%s, %s)", [a, b, c, d])
    supersede = "select matrice.supersede_insight(%s, %s)"
    assert both(project, (ALICE, supersede, [b, c]), (ALICE, supersede, [d, a])) == "22023"
    assert project.rows("select title from matrice.insights where superseded_by is null") == [("d",)]


@pytest.mark.parametrize("call", ["select matrice.supersede_insight(%s, %s)", "select matrice.merge_insights(%s, array[%s]::uuid[])"])
def test_a_direct_change_of_superseded_by_and_a_call_wait_for_each_other_without_a_deadlock(project, call):
    with project.connect() as connection:
        sign_in(connection, ALICE)
        a, b, c = (connection.execute("select matrice.record_insight(%s, 'learning', %s, 'x')", [project.project, name]).fetchone()[0]
                   for name in "abc")
    direct, results = session(project, ALICE, autocommit=False), []
    direct.execute("update matrice.insights set tags = '[\"kept\"]' where id = %s", [a])
    waiting = threading.Thread(target=outcome, args=(session(project, ALICE, autocommit=False), call, [a, b], results))
    waiting.start()
    # The call waits for the insight that is held here.
    waits(project, waiting)
    direct.execute("update matrice.insights set superseded_by = %s where id = %s", [c, a])
    direct.commit()
    waiting.join(30)
    # Superseded meanwhile: it cannot be superseded by another one, but still be what others are merged into.
    assert results == ["PT409" if "supersede" in call else "done"]
    assert project.rows("select tags, superseded_by from matrice.insights where id = %s", [a]) == [(["kept"], c)]
    direct.close()


def test_an_insight_is_recorded_while_one_like_it_is_deleted(project):
    with project.connect() as connection:
        sign_in(connection, ALICE)
        old = connection.execute("select matrice.record_insight(%s, 'learning', 'Calm', 'The wind falls at dusk over the bay')", [project.project]).fetchone()[0]
    delete = (ALICE, "delete from matrice.insights where id = %s", [old])
    record = (ALICE, "select matrice.record_insight(%s, 'learning', 'Calm', 'The wind falls at dusk over the wide bay')", [project.project])
    assert both(project, delete, record) == "done"
    assert project.rows("select content from matrice.insights") == [("The wind falls at dusk over the wide bay",)]
    assert project.rows("select * from matrice.insight_candidates") == []
