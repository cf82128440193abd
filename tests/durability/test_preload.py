"""The server may load the extension when it starts, for all its backends."""

import psycopg
import pytest
from servers import Server


def test_count_tokens_works_from_shared_preload_libraries(monkeypatch):
    with Server(monkeypatch, "preload", "shared_preload_libraries=matrice") as server:
        database = server.new_database()
        with database.connect() as connection:
            assert connection.execute("show shared_preload_libraries").fetchone()[0] == "matrice"
            assert connection.execute("select matrice.count_tokens('still here')").fetchone()[0] == 2
            with database.connect() as other:
                assert other.execute("select count(*) from matrice.chunk_text(repeat('some words. ', 1000), 64, 0)").fetchone()[0] > 10
                with pytest.raises(psycopg.errors.InvalidParameterValue):
                    other.execute("select matrice.count_tokens('x', 'no-such')")
