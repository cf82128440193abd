"""pg_dump carries everything: rows, and what the user added to the tables."""

import pytest

from conftest import ROOT, fill, sign_in

USER_CHANGES = """
alter table matrice.context_sources add column reviewer text default 'nobody';
update matrice.context_sources set reviewer = 'me' where true;
create index my_index on matrice.insights (title);
create policy "auditors read" on matrice.insights for select to service_role using (true);
create view public.my_view with (security_invoker = true) as select name from matrice.projects;
insert into matrice.model_prices (model, provider, unit, usd_per_million) values ('mine', 'me', 'input', 1.5);
grant select on matrice.projects to pg_monitor;
"""


@pytest.mark.parametrize("changes", ["", USER_CHANGES], ids=["as installed", "changed by the user"])
def test_a_restored_dump_dumps_the_same(matrice_database, empty_database, changes):
    source = matrice_database()
    fill(source)
    source.psql(changes)
    dump = source.dump()
    target = empty_database()
    target.psql(dump)
    assert target.dump() == dump


def test_functions_of_a_restored_database_work(matrice_database, empty_database):
    source = matrice_database()
    project = fill(source)
    target = empty_database()
    target.psql(source.dump())
    with target.connect() as connection:
        sign_in(connection)
        left = connection.execute("select count(*) from matrice.source_chunks").fetchone()[0] - 6
        # The insights come with the chunks.
        assert connection.execute("select count(*) filter (where source_id is not null) from matrice.claim_chunks()").fetchone()[0] == left > 0
        # The restore wrote no history of its own.
        versions = "select version, labels from matrice.as_of(%s, now()) where code = 'P1'"
        assert connection.execute(versions, [project]).fetchall() == [(2, ["v1"])]
        assert connection.execute("select phase from matrice.phase_history(%s)", [project]).fetchall() == [("P2",), ("P1",)]
        assert connection.execute("select count(*) from matrice.pillar_versions").fetchone()[0] == 7
        assert connection.execute("select matrice.save_pillar(%s, 'P1', 'again')", [project]).fetchone()[0] == 3
        assert connection.execute("select count(*) from matrice.match_chunks((select embedding from matrice.chunk_embeddings limit 1))").fetchone()[0] == 5
        # The texts of sources come back with their numbers, and loading them made no version.
        source = connection.execute("select source_id from matrice.source_texts").fetchone()[0]
        history = "select version, is_current from matrice.source_history(%s)"
        assert connection.execute(history, [source]).fetchall() == [(1, True)]
        assert connection.execute("select source_id, added, removed from matrice.rechunk(%s)", [project]).fetchall() == [(source, 0, 0)]
        connection.execute("select matrice.chunk_source(%s, 'another text')", [source])
        assert connection.execute(history, [source]).fetchall() == [(2, True), (1, False)]
    assert target.value("select matrice.migrate()") == []


def test_create_extension_with_row_security_off_installs_the_engine_alone(empty_database):
    database = empty_database()
    database.psql("create extension vector; set row_security = off; create extension matrice;")
    assert database.value("select to_regclass('matrice.projects')") is None
    assert database.value("select matrice.count_tokens('hello world')") == 2
    code = sorted(f"007_functions/{file.stem}" for file in (ROOT / "sql" / "007_functions").glob("*.sql"))
    assert database.value("select matrice.migrate()") == sorted(file.stem for file in (ROOT / "sql").glob("0*.sql")) + code
    assert database.value("select count(*) from matrice.projects") == 0


def test_a_parallel_restore_of_an_archive_dumps_the_same(matrice_database, empty_database, tmp_path):
    source = matrice_database()
    fill(source)
    archive = tmp_path / "archive"
    source._run(["pg_dump", "-U", "postgres", "-d", source.name, "-Fd", "-f", str(archive)])
    target = empty_database()
    target._run(["pg_restore", "-U", "postgres", "-j", "2", "--exit-on-error", "-d", target.name, str(archive)])
    assert target.dump() == source.dump()
