"""What is told to a session beside its rows."""

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
