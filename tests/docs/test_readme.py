"""Every SQL block of the documentation runs, in the order it is written."""

import re

import pytest

from conftest import ROOT

PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("supabase/*.md")])


def sql_blocks(page):
    return re.findall(r"^```sql\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_sql_blocks_run(page, empty_database):
    blocks = sql_blocks(page)
    assert blocks, f"{page.name} has no SQL block: it does not belong here"
    database = empty_database()
    database.psql("\n".join(blocks))


def test_the_api_table_is_complete(matrice_database):
    """README's table names every function of the API, and no other: those with an underscore are the schema's own."""
    named = set(re.findall(r"^\| `(\w+)\(", (ROOT / "README.md").read_text(), flags=re.MULTILINE))
    functions = {row[0] for row in matrice_database().rows(
        "select proname from pg_proc where pronamespace = 'matrice'::regnamespace and not starts_with(proname, '_')")}
    assert named == functions
