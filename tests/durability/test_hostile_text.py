"""Texts made to hurt: they are handled, refused or cancelled, and the server stands."""

import psycopg
import pytest

# Minutes of work or more, each.
ENDLESS = {
    "an overlap that leaves one token": "select count(*) from matrice.chunk_text(repeat('hello world. ', 80000), 512, 511)",
    "one word of 30 MB": "select count(*) from matrice.chunk_text(repeat('a', 30000000))",
    "one line of 10 MB with a blank line at its end": "select count(*) from matrice.chunk_text(repeat('x ', 5000000) || E'\\n\\n')",
}


@pytest.mark.parametrize("query", ENDLESS.values(), ids=ENDLESS.keys())
def test_a_timeout_ends_it(matrice_database, query):
    with matrice_database().connect() as connection:
        connection.execute("set statement_timeout = '300ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute(query)
        assert connection.execute("select matrice.count_tokens('still here')").fetchone()[0] == 2


def test_a_million_spaces(matrice_database):
    text = "repeat(' ', 1000000) || 'x'"
    with matrice_database().connect() as connection:
        assert connection.execute(f"select matrice.count_tokens({text})").fetchone()[0] > 1000
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="too long for this encoding"):
            connection.execute(f"select matrice.count_tokens({text}, 'r50k_base')")


def test_deep_code(matrice_database):
    with matrice_database().connect() as connection:
        query = "select count(*) from matrice.chunk_text(repeat('(', 100000) || repeat(')', 100000), format => 'rust')"
        assert connection.execute(query).fetchone()[0] > 10


def test_deep_markdown(matrice_database):
    with matrice_database().connect() as connection:
        for text in ("repeat('> ', 10000) || 'x'", "repeat('- ', 10000) || 'x'", "repeat('[', 10000) || 'x'"):
            connection.execute(f"select count(*) from matrice.chunk_text({text}, format => 'markdown')")
