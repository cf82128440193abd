"""Texts made to hurt: they are handled in bounded memory, or cancelled at once, and the server stands."""

from pathlib import Path

import psycopg
import pytest

from conftest import ROOT

# What the parsers of code take longest for.
SHREDS = [("go", "<!--"), ("python", "<!--"), ("rust", "a,"), ("rust", '"'), ("javascript", "!a"), ("tsx", "<a/>"), ("typescript", "~a"), ("sql", "a b")]

# Work of a second or more, each.
LONG = {
    "counting 300 MB of words": "select matrice.count_tokens(repeat('hello world. ', 24000000))",
    "the tokens of 100 MB of letters": "select cardinality(matrice.tokenize(repeat('abcdefghij', 10000000)))",
    "a line of 60 MB": "select count(*) from matrice.chunk_text(repeat('hello world. ', 5000000))",
    "a line of 60 MB with a blank line at its end": "select count(*) from matrice.chunk_text(repeat('x ', 30000000) || E'\\n\\n')",
    "a word of 30 MB": "select count(*) from matrice.chunk_text(repeat('a', 30000000))",
    "30 MB of spaces": "select count(*) from matrice.chunk_text(repeat(' ', 30000000) || 'x')",
    "30 MB of joined emoji": "select count(*) from matrice.chunk_text(repeat(U&'\\+01F468\\200D', 4300000))",
    "30 MB of combining marks": "select count(*) from matrice.chunk_text(repeat(U&'\\0301', 15000000))",
    "an overlap of half a chunk": "select count(*) from matrice.chunk_text(repeat('hello world. ', 800000), 2, 1)",
    "3,000,000 headings": "select count(*) from matrice.chunk_text(repeat(E'# H\\n\\ntext\\n\\n', 3000000), format => 'markdown')",
    "quotes in quotes, 10,000,000 deep": "select count(*) from matrice.chunk_text(repeat('> ', 10000000) || 'x', format => 'markdown')",
    "3,000,000 fences of metadata that have no end":
        "select count(*) from matrice.chunk_text(repeat(E'> ---\\n> x\\n\\n', 3000000), format => 'markdown')",
    "elements in elements, 10,000,000 deep": "select count(*) from matrice.chunk_text(repeat('<div>', 10000000), format => 'html')",
    "30 MB of stray quotes": "select count(*) from matrice.chunk_text(repeat(',\"\"x', 7500000), format => 'csv')",
    "10,000,000 records": "select count(*) from matrice.chunk_text(repeat(E'a,b\\n', 10000000), format => 'csv')",
    "brackets in brackets, 5,000,000 deep":
        "select count(*) from matrice.chunk_text(repeat('(', 5000000) || repeat(')', 5000000), format => 'rust')",
    **{f"4 MB of {shred} as {format}": f"select count(*) from matrice.chunk_text(repeat('{shred}', {4_000_000 // len(shred)}), format => '{format}')"
       for format, shred in SHREDS},
    "the words of 60 MB of combining marks": "select count(*) from matrice.analyze_text(repeat(U&'\\0301\\0316', 15000000))",
    "the words of 20 MB of underscores": "select count(*) from matrice.analyze_text(repeat('_a', 10000000), 'english')",
    "the words of 30 MB of letters": "select count(*) from matrice.analyze_text(repeat('a', 30000000), 'english')",
    "the words of 30 MB of Chinese": "select count(*) from matrice.analyze_text(repeat('我每天喝绿茶', 1700000))",
    "the vector of 100 MB": "select length(matrice_private.text_vector(repeat('running houses ', 7000000), 'english'))",
}


@pytest.mark.parametrize("query", LONG.values(), ids=LONG.keys())
def test_statement_timeout_ends_functions_of_the_engine(matrice_database, query):
    with matrice_database().connect() as connection:
        connection.execute("set statement_timeout = '300ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute(query)
        assert connection.execute("select matrice.count_tokens('still here')").fetchone()[0] == 2


LARGE = {
    "one line of 10 MB": "repeat('some words. ', 833333)",
    "10 MB with a blank line at the end": "repeat('x ', 5000000) || E'\\n\\n'",
    "1 MB of a": "repeat('a', 1000000)",
    "1 MB of spaces": "repeat(' ', 1000000) || 'x'",
    "1 MB of emoji joined by ZWJ": "repeat(U&'\\+01F468\\200D', 142857)",
    "1 MB of combining marks": "repeat(U&'\\0301', 500000)",
    "250,000 lines": "repeat(E'abc\\n', 250000)",
    "5,000,000 lines": "repeat(E'a\\n', 5000000)",
}
LARGE_CODE = {
    "10 MB of semicolons": "repeat(';', 10000000)",
    "10 MB of brackets": "repeat('[](){', 2000000)",
    "10 MB of lines": "repeat(E'a\\n', 5000000)",
    "1 MB of comments that do not end": "repeat('/* <!-- ', 125000)",
}
# The parser's tree would take sixty times as much, what it marks twenty times: there is never more of them than of 1 MB of the text.
DENSE_MARKDOWN = {
    "10 MB of a list": "repeat(E'- item\\n', 1428571)",
    "10 MB of a table": "E'|a|b|\\n|-|-|\\n' || repeat(E'|a|b|\\n', 1666666)",
    "10 MB of emphasis in a line": "repeat('*a* ', 2500000)",
    "10 MB of lines": "repeat(E'a\\n', 5000000)",
    "10 MB of links, defined at their end": "repeat(E'[a]\\n\\n', 2000000) || E'[a]: /b\\n'",
    "10 MB of fences in quotes": "repeat(E'> ---\\n> x\\n\\n', 900000)",
    "10 MB of fences that end nothing": "repeat(E'+++\\t\\nx\\n\\n', 1250000)",
    "10 MB of a heading": "'# ' || repeat('word ', 2000000)",
    "10 MB of headings without a text": "repeat(E'#\\n', 5000000)",
    "10 MB of paragraphs behind white space": "'x' || repeat(' ', 5000000) || repeat(E'*a* b\\n\\n', 714285)",
    "10 MB and a metadata fence": "repeat(E'*a* b\\n\\n', 1250000) || E'---\\nx'",
}
LARGE_HTML = {
    "5 MB of elements in each other": "repeat('<div>', 1000000)",
    "5 MB of ends": "repeat('</ul>', 1000000)",
    "5 MB of lists in each other": "repeat('<ul><li>', 625000)",
    "5 MB of tables in each other": "repeat('<table><tr><th>', 333333)",
    "5 MB of headings that do not end": "repeat('<h1>a', 1000000)",
    "5 MB of a tag that does not end": "'<a b=\"' || repeat('x y ', 1250000)",
    "5 MB of tags that do not end": "repeat('<a b ', 1000000)",
    "5 MB of a comment that does not end": "'<!--' || repeat('a b ', 1250000)",
    "5 MB of a comment behind a text": "'text <!--' || repeat('a b ', 1250000) || '-->'",
    "5 MB of comments that do not end": "repeat('<!-- ', 1000000)",
    "5 MB of a script": "'<script>' || repeat('a < b; ', 714285)",
    "5 MB of lines": "'<pre>' || repeat(E'a\\n', 2500000)",
    "5 MB of entities": "repeat('&amp;', 1000000)",
    "5 MB of entities that do not end": "repeat('&amp', 1250000)",
    "5 MB of rows": "'<table><tr><th>a</th></tr>' || repeat('<tr><td>b</td></tr>', 263157)",
    "5 MB of text": "repeat('some words. ', 416666)",
}
LARGE_CSV = {
    "5 MB of delimiters": "repeat(',', 5000000)",
    "5 MB of tabs": "repeat(E'\\t', 5000000) || 'x'",
    "5 MB of quotes": "repeat('\"', 5000001)",
    "5 MB of fields in quotes": "repeat('\"\",', 1666666)",
    "5 MB of stray quotes": "repeat(',\"\"x', 1250000)",
    "5 MB behind a quote": "'\"' || repeat(E'a,b\\n', 1250000)",
    "5 MB of a field in quotes": "'\"' || repeat(E'a b\\n', 1250000) || '\"'",
    "5 MB of records": "repeat(E'a,b\\n', 1250000)",
    "5 MB of a header": "repeat('a,', 2500000) || E'\\n1'",
    "5 MB of lines that are empty": "repeat(E'\\r\\n', 2500000) || 'x'",
}
LARGE_MARKDOWN = {
    **{name: text for name, text in LARGE.items() if "lines" not in name},
    "1 MB of newlines": "repeat(E'\\n', 1000000) || 'x'",
    "100,000 headings": "repeat(E'# H\\n\\ntext\\n\\n', 100000)",
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE.keys())
def test_memory_of_text_is_bounded(matrice_database, text):
    check_memory(matrice_database, text, "text")


@pytest.mark.parametrize("text", LARGE_MARKDOWN.values(), ids=LARGE_MARKDOWN.keys())
def test_memory_of_markdown_is_bounded(matrice_database, text):
    check_memory(matrice_database, text, "markdown")


@pytest.mark.parametrize("text", DENSE_MARKDOWN.values(), ids=DENSE_MARKDOWN.keys())
def test_memory_of_dense_markdown_is_bounded(matrice_database, text):
    check_memory(matrice_database, text, "markdown")


@pytest.mark.parametrize("text", LARGE_HTML.values(), ids=LARGE_HTML.keys())
def test_memory_and_time_of_html_are_bounded(matrice_database, text):
    check_time(matrice_database, text, "html")
    check_memory(matrice_database, text, "html")


@pytest.mark.parametrize("text", LARGE_CSV.values(), ids=LARGE_CSV.keys())
def test_memory_and_time_of_csv_are_bounded(matrice_database, text):
    check_time(matrice_database, text, "csv")
    check_memory(matrice_database, text, "csv")


@pytest.mark.parametrize("text", LARGE_CODE.values(), ids=LARGE_CODE.keys())
def test_memory_of_code_is_bounded(matrice_database, text):
    """Its syntax tree is as large as it likes to a bound, beyond which it is cut as any text."""
    for format in ("python", "rust"):
        check_memory(matrice_database, text, format, besides=256 << 20)


def check_time(matrice_database, text, format):
    """At most a second for each MB."""
    with matrice_database().connect() as connection:
        connection.execute("set statement_timeout = '5s'")
        for overlap in (0, 64):
            connection.execute(f"select count(*) from matrice.chunk_text({text}, 512, {overlap}, '{format}')")


def check_memory(matrice_database, text, format, besides=0):
    with matrice_database().connect() as connection:
        # What any text needs: the library is loaded, the tables that all backends share are read, the text is made.
        any_text = (ROOT / "tests" / "data" / "languages.txt").read_text()
        for small in (any_text, "# A heading\n\nand a paragraph\n"):
            connection.execute("select count(*) from matrice.chunk_text(%s, format => %s)", [small, format])
        size = connection.execute(f"select octet_length({text})").fetchone()[0]
        before = peak(connection)
        tokens = connection.execute(f"select matrice.count_tokens({text})").fetchone()[0]
        most, length = connection.execute(
            f"select max(token_count), sum(length(content)) from matrice.chunk_text({text}, 512, 0, '{format}')").fetchone()
        assert tokens > 0 and 0 < most <= 512 and length > 0
        assert peak(connection) <= before + 10 * size + besides


def peak(connection):
    """The most memory that the backend has had, in bytes."""
    backend = connection.execute("select pg_backend_pid()").fetchone()[0]
    status = Path(f"/proc/{backend}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.mark.parametrize("format, shred", SHREDS, ids=str)
def test_chunk_text_of_shreds_of_code_ends_within_30_seconds(matrice_database, format, shred):
    """L7: the parser goes round in circles for what is no code. Most of these took it from 15 seconds to two minutes."""
    with matrice_database().connect() as connection:
        connection.execute("set statement_timeout = '30s'")
        text = shred * (1_000_000 // len(shred))
        length = connection.execute("select sum(length(content)) from matrice.chunk_text(%s, 512, 0, %s)", [text, format]).fetchone()[0]
        assert length > 0


@pytest.mark.parametrize("format", ["html", "csv", "go", "javascript", "python", "rust", "sql", "tsx", "typescript"])
@pytest.mark.parametrize("opening", ["{a:", "{a", "(", "[", "<a>", "a?", "a<", "a => ", "if a {", "((a,"])
def test_chunk_text_of_unclosed_code_returns_chunks(matrice_database, format, opening):
    """The parser of code recurses where it is ambiguous: 1 MB of {a: as JavaScript was the end of all connections."""
    with matrice_database().connect() as connection:
        text = opening * (2_000_000 // len(opening))
        connection.execute("set statement_timeout = '60s'")
        assert connection.execute("select count(*) from matrice.chunk_text(%s, 512, 0, %s)", [text, format]).fetchone()[0] > 0


def test_count_tokens_takes_a_million_spaces_in_every_encoding(matrice_database):
    with matrice_database().connect() as connection:
        for encoding in ("o200k_base", "cl100k_base", "p50k_base", "r50k_base"):
            assert connection.execute("select matrice.count_tokens(repeat(' ', 1000000) || 'x', %s)", [encoding]).fetchone()[0] > 1000


@pytest.mark.parametrize("text, format", [
    ("repeat(E'# H\\n\\ntext\\n\\n', 100000)", "markdown"),
    ("repeat('> ', 10000) || 'x'", "markdown"),
    ("repeat('- ', 10000) || 'x'", "markdown"),
    ("repeat('[', 10000) || 'x'", "markdown"),
    ("repeat('(', 100000) || repeat(')', 100000)", "rust"),
], ids=["headings", "quotes", "lists", "brackets in markdown", "brackets in rust"])
def test_chunk_text_takes_deep_or_many_constructs(matrice_database, text, format):
    with matrice_database().connect() as connection:
        chunks = connection.execute("select count(*), max(token_count) from matrice.chunk_text(" + text + ", 512, 0, %s)", [format]).fetchone()
        assert chunks[0] > 0 and chunks[1] <= 512
