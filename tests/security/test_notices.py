"""What is told to a session beside its rows."""

import json

from conftest import sign_in


def test_searches_give_a_notice_when_no_chunk_matches_filter(matrice_database):
    with matrice_database().connect() as connection:
        connection.execute("grant usage on schema extensions to authenticated")
        told = []
        connection.add_notice_handler(lambda notice: told.append((notice.message_primary, notice.message_detail, notice.message_hint)))
        sign_in(connection)
        project = connection.execute("select matrice.create_project('p')").fetchone()[0]
        connection.execute("select matrice.ingest_source(%s, 's', 'some words', metadata => '{\"tags\": [\"a\"]}')", [project])
        vector = "array_fill(0.1, array[1536])::extensions.vector"
        told.clear()
        for call in (
            "search_chunks('words', filter => %s)",
            f"match_chunks({vector}, filter => %s)",
            f"hybrid_search('words', {vector}, filter => %s)",
            f"build_context('words', {vector}, (select id from matrice.projects), filter => %s)",
            f"match_documents({vector}, filter => %s)",
        ):
            connection.execute(f"select * from matrice.{call}", ['{"source_id": "x", "tags": ["a", "b"]}'])
            [(message, detail, hint)] = told
            assert message == "no chunk matches the filter"
            assert detail == 'No chunk matches {"source_id": "x"} or {"tags": ["a", "b"]}.'
            assert "all of its elements" in hint
            told.clear()
        # Where the filter is not why.
        assert connection.execute("select * from matrice.search_chunks('nothing', filter => '{\"tags\": [\"a\"]}')").fetchall() == []
        assert connection.execute("select * from matrice.search_chunks('nothing')").fetchall() == []
        assert told == []


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


def test_events_of_sources_are_sent_by_realtime_where_it_is(matrice_database):
    """Realtime itself is not there. Its function has this name and these arguments, and writes to a table."""
    database = matrice_database()
    with database.connect() as connection:
        connection.execute("create schema realtime")
        connection.execute("create table realtime.messages (payload jsonb, event text, topic text, private boolean)")
        connection.execute("create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void"
                           " language sql as 'insert into realtime.messages values (payload, event, topic, private)'")
        sign_in(connection)
        project = connection.execute("select matrice.create_project('p')").fetchone()[0]
        connection.execute("select matrice.ingest_source(%s, 's', 'words')", [project])
        connection.execute("reset role")
        assert connection.execute("select payload ->> 'event', event, topic, private from realtime.messages").fetchall() == [
            ("source_progress", "source_progress", f"matrice:{project}", True)]
