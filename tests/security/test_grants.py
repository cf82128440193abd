"""The allow-list of functions, and what every table of a project must have. Each check names what was forgotten."""

import re

import pytest

from conftest import ROOT

GRANTS = (ROOT / "sql" / "007_functions" / "99_grants.sql").read_text()
OURS = ("select p.proname from pg_proc p where p.pronamespace in ('matrice'::regnamespace, 'matrice_private'::regnamespace)"
        " and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')")
# For what a signed-in user may write; what services and triggers alone write is not moved by anybody.
MOVABLE = """
    select c.relname from pg_class c
     where c.relnamespace = 'matrice'::regnamespace and c.relkind in ('r', 'p')
       and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'project_id')
       and (has_any_column_privilege('authenticated', c.oid, 'update') or has_any_column_privilege('service_role', c.oid, 'update'))
       and not exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname = 'stay_in_project')"""
# The tables of matrice_private need no policy, because they are granted to nobody.
OPEN = """
    select c.relname from pg_class c
     where c.relnamespace in ('matrice'::regnamespace, 'matrice_private'::regnamespace) and c.relkind in ('r', 'p')
       and (not c.relrowsecurity
            or c.relnamespace = 'matrice'::regnamespace and not exists (select from pg_policy p where p.polrelid = c.oid))"""
GRANTED = """
    select c.relname, a.grantee::regrole::text from pg_class c cross join aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
     where c.relnamespace = 'matrice_private'::regnamespace and c.relkind in ('r', 'p') and a.grantee <> c.relowner
       and (c.relname, a.grantee::regrole::text, a.privilege_type) <> ('migrations', 'service_role', 'SELECT')"""


@pytest.fixture
def database(matrice_database):
    return matrice_database()


def unnamed(database):
    """Functions that the allow-list does not name."""
    named = set(re.findall(r"'(\w+)'", GRANTS))
    return sorted(name for (name,) in database.rows(OURS) if name not in named)


def test_every_function_is_named_in_the_allow_list(database):
    assert unnamed(database) == []
    database.psql("create function matrice_private.forgotten() returns int language sql return 1")
    assert unnamed(database) == ["forgotten"], "the check finds what is missing"


def test_every_security_definer_function_has_a_reason_in_the_allow_list(database):
    definers = {name for (name,) in database.rows(OURS + " and p.prosecdef")}
    # From each comment that says SECURITY DEFINER to the next list.
    explained = set()
    for part in re.split(r"(?=-- [^\n]*SECURITY DEFINER|-- For services)", GRANTS)[1:]:
        explained |= set(re.findall(r"'(\w+)'", part))
    assert definers <= explained, sorted(definers - explained)


def test_only_authenticated_and_service_role_may_execute_functions(database):
    """By the catalog: no grant to public, anon or any role of the database's own."""
    others = database.rows(
        "select p.oid::regprocedure::text, a.grantee::regrole::text"
        f" from pg_proc p cross join aclexplode(p.proacl) a where p.proname in ({OURS})"
        " and a.grantee not in (p.proowner, 'authenticated'::regrole, 'service_role'::regrole)")
    assert others == []
    assert database.rows(f"select p.oid::regprocedure from pg_proc p where p.proname in ({OURS}) and p.proacl is null") == []


def test_every_table_with_project_id_has_the_trigger_stay_in_project(database):
    assert database.rows(MOVABLE) == []
    database.psql("create table matrice.wishes (project_id uuid primary key); grant update on matrice.wishes to authenticated")
    assert database.rows(MOVABLE) == [("wishes",)], "the check finds what is missing"


def test_every_table_has_row_level_security_and_those_of_the_api_a_policy(database):
    assert database.rows(OPEN) == []
    database.psql("create table matrice.wishes (project_id uuid primary key)")
    assert database.rows(OPEN) == [("wishes",)], "the check finds what is missing"


def test_tables_of_matrice_private_are_granted_to_nobody_but_migrations_to_service_role(database):
    assert database.rows(GRANTED) == []
    database.psql("grant select on matrice_private.word_blocks to authenticated")
    assert database.rows(GRANTED) == [("word_blocks", "authenticated")], "the check finds what is granted"
