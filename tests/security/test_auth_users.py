"""Where there is Supabase's auth schema, memberships follow its users and the caller is auth.uid()."""

import psycopg
import pytest

from conftest import sign_in

OWNER, VIEWER = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"


@pytest.fixture
def supabase(empty_database):
    database = empty_database()
    # As GoTrue's migrations make them.
    database.psql("""
        create schema auth;
        create table auth.users (id uuid primary key);
        create function auth.uid() returns uuid language sql stable as $$
          select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
                          (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))::uuid $$;
        create schema extensions;
        create extension vector schema extensions;
        create extension matrice;
        grant usage on schema auth to authenticated;
    """)
    database.rows("insert into auth.users values (%s), (%s)", [OWNER, VIEWER])
    with database.connect() as connection:
        sign_in(connection, OWNER)
        database.project = connection.execute("select matrice.create_project('Supabase')").fetchone()[0]
    database.rows("insert into matrice.user_projects values (%s, %s, 'viewer')", [VIEWER, database.project])
    return database


def test_projects_are_those_of_auth_uid(supabase):
    supabase.psql(f"create or replace function auth.uid() returns uuid language sql stable as $$ select '{OWNER}'::uuid $$")
    with supabase.connect() as connection:
        connection.execute("set role authenticated")
        assert connection.execute("select count(*) from matrice.projects").fetchone()[0] == 1


def test_deleting_from_auth_users_removes_the_member(supabase):
    supabase.rows("delete from auth.users where id = %s", [VIEWER])
    assert supabase.rows("select user_id::text from matrice.user_projects") == [(OWNER,)]
    assert supabase.value("select count(*) from matrice.audit_log where action = 'member removed'") == 1


def test_auth_users_refuses_to_delete_the_last_owner_of_a_project(supabase):
    with supabase.connect() as connection:
        with pytest.raises(psycopg.Error, match="a project must keep an owner"):
            connection.execute("delete from auth.users where id = %s", [OWNER])
        connection.execute("delete from matrice.projects")
        connection.execute("delete from auth.users where id = %s", [OWNER])


def test_user_projects_refuses_an_unknown_user_id(supabase):
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        supabase.rows("insert into matrice.user_projects values (gen_random_uuid(), %s, 'viewer')", [supabase.project])
