"""The examples in Markdown run, its links lead somewhere, and README's tables name every function."""

import re
import subprocess

import pytest

from conftest import ROOT

PAGES = [ROOT / name for name in subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()]
README = ROOT / "README.md"


def name(page):
    return str(page.relative_to(ROOT))


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def prose(page):
    """A page without its code, which may look like headings and links."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^    .*$|`[^`\n]+`", "", text, flags=re.MULTILINE)


def anchors(page):
    """The fragments that GitHub gives to the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sql")], ids=name)
def test_sql_blocks_run(page, empty_database):
    """In the order they are written, in one session of psql."""
    empty_database().psql("\n".join(blocks(page, "sql")))


def test_blocks_in_other_languages_run():
    """tests/api runs a block of README that it names by some text in it: example('js', 'createClient'). All are named."""
    run = set()
    for test in (ROOT / "tests" / "api").glob("*.test.mjs"):
        for language, mentions in re.findall(r"example\(['\"](\w+)['\"], ['\"]([^'\"]+)['\"]\)", test.read_text()):
            run |= {next(block for block in blocks(README, language) if mentions in block)}
    for page in PAGES:
        for language in ("js", "ts", "python"):
            for block in blocks(page, language):
                assert block in run, f"no test runs this {language} of {name(page)}:\n{block}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?:|mailto:", link):
            continue
        path, _, fragment = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{name(page)} links to {link}"
        if fragment:
            assert fragment in anchors(target), f"{name(page)} links to {link}: no such heading"


def functions_of(heading):
    section = README.read_text().split(f"\n### {heading}\n")[1].split("\n### ")[0]
    return set(re.findall(r"^\| `([\w.]+)\(", section, flags=re.MULTILINE))


def test_the_tables_of_functions_are_complete(matrice_database):
    """Each function of the schema matrice is in one of README's two tables, but those with an underscore, which are internal."""
    clients, operators = functions_of("Client functions"), functions_of("Operator functions")
    database = matrice_database()
    public = database.rows(
        "select proname, has_function_privilege('authenticated', oid, 'execute') from pg_proc"
        " where pronamespace = 'matrice'::regnamespace and not starts_with(proname, '_')"
        # Relationships of PostgREST are not called.
        " and (proargnames is not null or pronargs = 0)")
    private = {f"matrice_private.{row[0]}" for row in database.rows(
        "select proname from pg_proc where pronamespace = 'matrice_private'::regnamespace"
        " and not has_function_privilege('authenticated', oid, 'execute')")}
    assert clients | {function for function in operators if "." not in function} == {function for function, _ in public}
    assert not clients & operators
    assert clients <= {function for function, callable_by_users in public if callable_by_users}
    assert {function for function in operators if "." in function} <= private
