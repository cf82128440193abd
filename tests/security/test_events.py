"""What members hear of changes: by NOTIFY, and by Supabase Realtime where it is."""

import json
import time

import psycopg
import pytest

from conftest import sign_in

# Realtime itself is not there. This is the SQL that Supabase installs for it: the partitioned table, who may read it, and the
# functions.
REALTIME = """
create schema realtime;
grant usage on schema realtime to authenticated, service_role;
create table realtime.messages (
  topic text not null, extension text not null, payload jsonb, event text, private boolean default false,
  updated_at timestamp not null default now(), inserted_at timestamp not null default now(),
  id uuid not null default gen_random_uuid(), primary key (id, inserted_at)
) partition by range (inserted_at);
alter table realtime.messages enable row level security;
grant select, insert, update on realtime.messages to authenticated, service_role;
create table realtime.messages_now partition of realtime.messages default;
create function realtime.topic() returns text language sql stable as $$ select nullif(current_setting('realtime.topic', true), '')::text $$;
create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
language plpgsql as $$
declare
  generated_id uuid;
  final_payload jsonb;
begin
  begin
    generated_id := gen_random_uuid();
    if payload ? 'id' then
      final_payload := payload;
    else
      final_payload := jsonb_set(payload, '{id}', to_jsonb(generated_id));
    end if;
    execute format('SET LOCAL realtime.topic TO %L', topic);
    insert into realtime.messages (id, payload, event, topic, private, extension)
    values (generated_id, final_payload, event, topic, private, 'broadcast');
  exception when others then
    raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
  end;
end;
$$;
"""
BOB = "00000000-0000-0000-0000-00000000b0b0"


def messages(database):
    return database.rows("select event, payload - 'id' - 'project_id' - 'event', topic, private from realtime.messages order by inserted_at")


def health(database):
    return dict(database.rows("select part, is_ready from matrice_private.realtime_health()"))


def heard(listener, count):
    return [json.loads(told.payload) for told in listener.notifies(timeout=10, stop_after=count)]


@pytest.fixture
def project(matrice_database):
    """A database, a session of an owner, a listener, and the owner's project."""
    database = matrice_database()
    with database.connect() as listener, database.connect() as connection:
        sign_in(connection)
        project = connection.execute("select matrice.create_project('p')").fetchone()[0]
        listener.execute(f'listen "matrice:{project}"')
        yield database, connection, listener, project
        # Nothing else was told.
        assert list(listener.notifies(timeout=0.5)) == []


def test_events_of_sources_reach_listeners_of_the_project_with_ids_and_counts_only(matrice_database):
    database = matrice_database()
    with database.connect() as listener, database.connect() as connection:
        sign_in(connection)
        project, other = (connection.execute("select matrice.create_project(%s)", [name]).fetchone()[0] for name in "pq")
        listener.execute(f'listen "matrice:{project}"')

        def events(count):
            return [json.loads(told.payload) for told in listener.notifies(timeout=10, stop_after=count)]

        text = "One is red. Two is blue. Three is green."
        source = connection.execute(
            "select matrice.ingest_source(%s, 'secret name', %s, max_tokens => 5, overlap_tokens => 0)", [project, text]).fetchone()[0]
        connection.execute("select matrice.ingest_source(%s, 's', 'words')", [other])
        for most in (2, 1):
            connection.execute(
                "select matrice.store_embeddings('text-embedding-3-small', array_agg(chunk_id), jsonb_agg(array_fill(1, array[1536])))"
                "  from matrice.claim_chunks(project_id => %s, batch_size => %s)", [project, most])
        told = events(3)
        assert [event["sources"] for event in told] == [
            [{"id": str(source), "status": status, "chunk_count": 3, "embedded_count": embedded, "failed_count": 0}]
            for status, embedded in (("processing", 0), ("processing", 2), ("ready", 3))]
        assert {(event["event"], event["project_id"]) for event in told} == {("source_progress", str(project))}

        # A statement that changes many sources sends one event, which names none of them.
        connection.execute("insert into matrice.context_sources (project_id, name, type) select %s, n::text, 'file' from generate_series(1, 40) n", [project])
        connection.execute("insert into matrice.source_chunks (source_id, chunk_index, content)"
                           " select id, 0, name from matrice.context_sources where project_id = %s and name <> 'secret name'", [project])
        [event] = events(1)
        assert (event["source_count"], event["sources"]) == (40, [])

        # A change that is none sends nothing.
        connection.execute("update matrice.context_sources set name = name || '!', status = status")
        assert list(listener.notifies(timeout=0.5)) == []

def test_changes_of_pillars_insights_and_runs_are_told_by_ids_and_versions_only(project):
    _database, connection, listener, project = project
    connection.execute("select matrice.save_pillar(%s, 'P2', 'a secret')", [project])
    connection.execute("select matrice.save_pillar(%s, 'P2', 'a secret')", [project])  # changes nothing
    insights = [connection.execute("select matrice.record_insight(%s, 'fact', 'a secret', %s)", [project, f"a secret {n}"]).fetchone()[0]
                for n in range(2)]
    connection.execute("select matrice.supersede_insight(%s, %s)", insights)
    connection.execute("delete from matrice.insights where id = %s", [insights[0]])
    run = connection.execute("select matrice.start_run(%s, 'chat', 'asked', '{\"a\": \"secret\"}')", [project]).fetchone()[0]
    connection.execute("select matrice.finish_run(%s, 'completed')", [run])
    told = heard(listener, 7)
    pillar = connection.execute("select id, version from matrice.pillars where code = 'P2'").fetchone()
    own = {"project_id": str(project)}
    assert told == [
        own | {"event": "pillar_change", "change": "changed", "pillar_count": 1,
               "pillars": [{"id": str(pillar[0]), "code": "P2", "version": pillar[1]}]},
        *(own | {"event": "insight_change", "change": change, "insight_count": 1, "insights": [{"id": str(insight)}]}
          for change, insight in (("added", insights[0]), ("added", insights[1]), ("changed", insights[0]), ("removed", insights[0]))),
        own | {"event": "run_change", "change": "added", "run_count": 1, "runs": [{"id": str(run), "status": "running"}]},
        own | {"event": "run_change", "change": "changed", "run_count": 1, "runs": [{"id": str(run), "status": "completed"}]},
    ]


def test_a_statement_is_one_event_and_of_many_rows_only_their_number_is_told(project):
    database, _connection, listener, project = project
    with database.connect() as owner:
        run = owner.execute("insert into matrice.workflow_runs (project_id, workflow_id, event_name) values (%s, 'w', 'e') returning id", [project]).fetchone()[0]
        # The plans of this session are made for one row.
        owner.execute("update matrice.workflow_runs set status = 'cancelled' where id = %s", [run])
        owner.execute("insert into matrice.workflow_runs (project_id, workflow_id, event_name) select %s, 'w', 'e' from generate_series(1, 30000)", [project])
        begun = time.monotonic()
        owner.execute("update matrice.workflow_runs set output_data = '[1]'")
        assert time.monotonic() - begun < 30
        owner.execute("update matrice.workflow_runs set output_data = '[1]'")  # changes nothing
        owner.execute("delete from matrice.workflow_runs")
        told = heard(listener, 5)
        assert [(event["change"], event["run_count"], len(event["runs"])) for event in told] == [
            ("added", 1, 1), ("changed", 1, 1), ("added", 30000, 0), ("changed", 30001, 0), ("removed", 30001, 0)]
        # Deleting a project tells nothing: nobody may listen to it any more.
        owner.execute("insert into matrice.workflow_runs (project_id, workflow_id, event_name) values (%s, 'w', 'e')", [project])
        assert len(heard(listener, 1)) == 1
        owner.execute("delete from matrice.projects")


def test_embeddings_are_told_at_each_twentieth_of_the_chunks(project):
    database, connection, listener, project = project
    text = " ".join(f"Sentence number {n}." for n in range(400))
    connection.execute("select matrice.ingest_source(%s, 's', %s, max_tokens => 6, overlap_tokens => 0)", [project, text])
    chunks = connection.execute("select count(*) from matrice.source_chunks").fetchone()[0]
    assert chunks > 100
    batches = 0
    while connection.execute(
            "select matrice.store_embeddings('text-embedding-3-small', array_agg(chunk_id), jsonb_agg(array_fill(1, array[1536])))"
            "  from matrice.claim_chunks(project_id => %s, batch_size => 2) having count(*) > 0", [project]).fetchone():
        batches += 1
    assert batches >= 50
    told = list(listener.notifies(timeout=1))
    assert 15 <= len(told) <= 21, len(told)
    counts = [json.loads(event.payload)["sources"][0] for event in told]
    assert counts[-1] | {"id": ""} == {"id": "", "status": "ready", "chunk_count": chunks, "embedded_count": chunks, "failed_count": 0}
    # What was told last is never a twentieth behind.
    behind = [later["embedded_count"] - earlier["embedded_count"] for earlier, later in zip(counts, counts[1:], strict=False)]
    assert max(behind) <= chunks / 20 + 2


def test_events_can_be_switched_off_for_a_project_and_for_a_database(project):
    database, connection, listener, project = project
    connection.execute("update matrice.projects set settings = '{\"events\": false}'")
    connection.execute("select matrice.record_insight(%s, 'fact', 't', 'not told')", [project])
    with pytest.raises(psycopg.errors.InvalidParameterValue, match='setting "events" must be a JSON boolean'):
        connection.execute("update matrice.projects set settings = '{\"events\": 0}'")
    connection.execute("update matrice.projects set settings = '{\"events\": true}'")
    connection.execute("set matrice.events = off")
    connection.execute("select matrice.record_insight(%s, 'fact', 't', 'not told either')", [project])
    assert health(database)["events"]
    database.rows(f"alter database {database.name} set matrice.events = off")
    assert not health(database)["events"]
    connection.execute("set matrice.events = on")
    connection.execute("select matrice.record_insight(%s, 'fact', 't', 'told')", [project])
    assert [event["event"] for event in heard(listener, 1)] == ["insight_change"]


def test_realtime_sends_the_same_events_to_the_private_channel_of_the_project(project):
    database, connection, listener, project = project
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="Supabase Realtime is needed"):
        database.rows("select * from matrice_private.enable_realtime()")
    assert health(database) == {"events": True, "notify": True, "realtime.send": False}
    database.psql(REALTIME)
    assert health(database) == {
        "events": True, "notify": True, "realtime.send": True, "policy": False, "row-level security": True, "delivery": True}
    for _ in range(2):
        assert set(database.rows("select is_ready from matrice_private.enable_realtime()")) == {(True,)}
    assert messages(database) == []
    connection.execute("select matrice.ingest_source(%s, 's', 'words')", [project])
    connection.execute("select matrice.save_pillar(%s, 'P1', 'words')", [project])
    sent = messages(database)
    assert [(event, topic, private) for event, _, topic, private in sent] == [
        (event, f"matrice:{project}", True) for event in ("source_progress", "pillar_change")]
    told = heard(listener, 2)
    assert [{k: v for k, v in event.items() if k not in ("event", "project_id")} for event in told] == [payload for _, payload, _, _ in sent]


def test_only_members_may_join_the_channel_of_a_project(project):
    database, connection, listener, project = project
    database.psql(REALTIME)
    database.rows("select * from matrice_private.enable_realtime()")
    connection.execute("select matrice.save_pillar(%s, 'P1', 'words')", [project])
    assert len(heard(listener, 1)) == 1

    def read(user, topic, extension="broadcast"):
        # As Realtime asks: in the name of who joins, whether a message of the topic could be read.
        with database.connect() as session, session.transaction(force_rollback=True):
            session.execute("select set_config('realtime.topic', %s, true)", [topic])
            session.execute("insert into realtime.messages (topic, extension, private) values (%s, %s, true)", [topic, extension])
            sign_in(session, user)
            return session.execute("select count(*) from realtime.messages where topic = %s and extension = %s", [topic, extension]).fetchone()[0]

    alice = connection.execute("select matrice_private.current_user_id()").fetchone()[0]
    assert read(alice, f"matrice:{project}") == 2
    assert read(BOB, f"matrice:{project}") == 0
    assert read(alice, "matrice:" + BOB) == read(alice, "anything") == read(alice, "matrice:") == 0
    # Presence tells who else is there. Nobody joins it by this policy.
    assert read(alice, f"matrice:{project}", "presence") == 0
    # A member who is removed may not join any more.
    database.rows("insert into matrice.user_projects (project_id, user_id, role) values (%s, %s, 'viewer')", [project, BOB])
    assert read(BOB, f"matrice:{project}") == 2
    database.rows("delete from matrice.user_projects where user_id = %s", [BOB])
    assert read(BOB, f"matrice:{project}") == 0


@pytest.mark.parametrize("breakage", [
    "create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void"
    " language plpgsql as $$ begin raise exception 'broken'; end $$",
    "create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void"
    " language plpgsql as $$ begin raise division_by_zero; end $$",
    "create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void"
    " language plpgsql as $$ begin assert false, 'broken'; end $$",
    "drop table realtime.messages",
    "drop table realtime.messages_now",
    "alter table realtime.messages rename column payload to body",
])
def test_what_is_broken_in_realtime_never_fails_a_write(project, breakage):
    database, connection, listener, project = project
    database.psql(REALTIME)
    database.rows("select * from matrice_private.enable_realtime()")
    database.rows(breakage)
    warnings = []
    connection.add_notice_handler(lambda notice: warnings.append((notice.severity, notice.message_hint)))
    source = connection.execute("select matrice.ingest_source(%s, 's', 'words')", [project]).fetchone()[0]
    assert connection.execute("select status from matrice.context_sources where id = %s", [source]).fetchone() == ("processing",)
    run = connection.execute("select matrice.start_run(%s, 'w', 'e')", [project]).fetchone()[0]
    assert connection.execute("select status from matrice.workflow_runs where id = %s", [run]).fetchone() == ("running",)
    assert {severity for severity, _ in warnings} == {"WARNING"}
    assert len(warnings) == 2
    assert not health(database)["delivery"]
    list(listener.notifies(timeout=0.5))


@pytest.mark.parametrize("lack", [
    "drop table realtime.messages", "alter table realtime.messages rename column extension to kind",
    "alter table realtime.messages rename column topic to channel", "drop function realtime.topic",
])
def test_enable_realtime_says_what_realtime_lacks(matrice_database, lack):
    database = matrice_database()
    database.psql(REALTIME)
    database.rows(lack)
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="this Supabase Realtime cannot broadcast events"):
        database.rows("select * from matrice_private.enable_realtime()")
    assert not health(database)["policy"]


def test_a_flood_of_changes_in_a_transaction_is_stored_whatever_becomes_of_its_events(project):
    _database, connection, listener, project = project
    with connection.transaction():
        connection.execute("select matrice.start_run(%s, 'w', 'e', n::text) from generate_series(1, 3000) n", [project])
    assert connection.execute("select count(*) from matrice.workflow_runs").fetchone() == (3000,)
    told = list(listener.notifies(timeout=2))
    assert len(told) == 3000 and all(len(event.payload) < 300 for event in told)


def test_a_locked_table_of_messages_holds_a_write_for_a_moment_only(project):
    database, connection, listener, project = project
    database.psql(REALTIME)
    with database.connect() as other, other.transaction():
        other.execute("lock table realtime.messages in access exclusive mode")
        begun = time.monotonic()
        run = connection.execute("select matrice.start_run(%s, 'w', 'e')", [project]).fetchone()[0]
        assert time.monotonic() - begun < 5
    assert connection.execute("select count(*) from matrice.workflow_runs where id = %s", [run]).fetchone() == (1,)
    list(listener.notifies(timeout=0.5))


def test_a_schema_of_somebody_else_is_not_realtime(project):
    """Whoever may create schemas must not get his function called as the owner of the tables."""
    database, connection, listener, project = project
    with database.connect() as admin:
        admin.execute("create role matrice_schema_maker")
        try:
            admin.execute("create schema realtime authorization matrice_schema_maker")
            admin.execute("create function realtime.send(payload jsonb, event text, topic text, private boolean) returns void"
                          " language plpgsql as $$ begin create table realtime.caught as select current_user as who; end $$")
            admin.execute("alter function realtime.send owner to matrice_schema_maker")
            connection.execute("select matrice.start_run(%s, 'w', 'e')", [project])
            assert len(heard(listener, 1)) == 1
            assert admin.execute("select to_regclass('realtime.caught')").fetchone() == (None,)
            assert not health(database)["realtime.send"]
        finally:
            admin.execute("drop schema if exists realtime cascade")
            admin.execute("drop role matrice_schema_maker")


def test_a_project_is_told_of_nothing_that_was_rolled_back(project):
    _database, connection, listener, project = project
    with pytest.raises(psycopg.errors.DivisionByZero), connection.transaction():
        connection.execute("select matrice.start_run(%s, 'w', 'e')", [project])
        connection.execute("select 1 / 0")
    assert list(listener.notifies(timeout=0.5)) == []
