"""What match_chunks finds of the true nearest, on vectors of many kinds, as a member under row-level security."""

import numpy
import pytest

import vector_sets
from conftest import Database, sign_in
from vector_sets import as_text, identifier, recall, similarities

MEMBER, OUTSIDER = identifier("user", "member"), identifier("user", "outsider")
SETS = vector_sets.all_sets()
COUNTS = [1, 3, 10, 100]
LEAST = 0.99
# Two of three: more than are compared in full without asking codes.
FILTERS = {"two of three": lambda number: number % 3 > 0, "one of ten": lambda number: number % 10 == 0}


def tagged(number):
    return {tag.replace(" ", "_"): str(has(number)).lower() for tag, has in FILTERS.items()}


@pytest.fixture(scope="module", params=["lists", "cells"])
def database(request):
    """A project for each set, all with the same members. Their codes are in lists, or in cells as those of very large projects."""
    import psycopg

    with psycopg.connect(dbname="postgres", user="postgres", autocommit=True) as server:
        server.execute("drop database if exists matrice_py_recall with (force)")
        server.execute("create database matrice_py_recall")
    made = Database("matrice_py_recall")
    made.psql("create schema extensions; create extension vector schema extensions; create extension matrice;"
              "alter database matrice_py_recall set search_path = public, extensions;"
              "grant usage on schema extensions to authenticated, service_role;")
    with made.connect() as owner:
        for name, (vectors, _) in SETS.items():
            project = vector_sets.load(owner, name, vectors, tagged)
            owner.execute("insert into matrice.user_projects values (%s, %s, 'viewer')", [MEMBER, project])
            if request.param == "cells":
                owner.execute("select matrice_private.cluster_codes(%s, %s, steps => null, minimum => 300, batch => 2048)", [project, vector_sets.model_of(vectors)])
                in_cells = owner.execute("select coalesce(sum(code_count), 0) from matrice_private.code_cells where project_id = %s", [project]).fetchone()[0]
                assert in_cells > 0.7 * len(vectors) or len(vectors) < 300, name
        owner.execute("vacuum analyze")
    yield made
    with psycopg.connect(dbname="postgres", user="postgres", autocommit=True) as server:
        server.execute("drop database matrice_py_recall with (force)")


@pytest.fixture
def member(database):
    with database.connect() as connection:
        sign_in(connection, str(MEMBER))
        yield connection


def mean_recall(member, names, queries, count, search, numbers=None):
    """Of the sets of these names together, of which `numbers` are searched where given."""
    vectors = numpy.concatenate([SETS[name][0] for name in names])
    of_id = {identifier("chunk", name, number): sum(len(SETS[before][0]) for before in names[:place]) + number
             for place, name in enumerate(names) for number in range(len(SETS[name][0]))}
    similar = similarities(vectors, queries)
    wanted = numpy.arange(len(vectors)) if numbers is None else numpy.array(numbers)
    place = {number: position for position, number in enumerate(wanted.tolist())}
    found = [[place[of_id[row[0]]] for row in member.execute(search, [as_text(query)]).fetchall()] for query in queries]
    return numpy.mean([recall(of_query[wanted], some, count) for of_query, some in zip(similar, found)])


@pytest.mark.parametrize("name", SETS)
def test_c3_match_chunks_finds_the_true_nearest(member, name):
    project, queries = identifier("project", name), SETS[name][1]
    for count in COUNTS:
        search = f"select chunk_id from matrice.match_chunks(%s::vector, '{project}', {count})"
        assert mean_recall(member, [name], queries[:60 if count == 10 else 20], count, search) >= LEAST, count


@pytest.mark.parametrize("name", ["E5, two versions", "E5, one-signed, two versions", "E5, mean removed, two versions", "1,000 near copies of each of 4"])
@pytest.mark.parametrize("tag", FILTERS)
def test_c3_match_chunks_with_filter_finds_the_true_nearest(member, name, tag):
    project, (vectors, queries) = identifier("project", name), SETS[name]
    matching = [number for number in range(len(vectors)) if FILTERS[tag](number)]
    for count in (1, 10, 100):
        search = f"select chunk_id from matrice.match_chunks(%s::vector, '{project}', {count}, filter => '{{\"{tag.replace(' ', '_')}\": true}}')"
        assert mean_recall(member, [name], queries[:20], count, search, matching) >= LEAST, count


MIXED = ["E5, mean removed, two versions", "E5, one-signed, two versions", "E5", "1,000 near copies of each of 4", "7 vectors"]


@pytest.mark.parametrize("asked", MIXED)
def test_c3_match_chunks_over_projects_with_good_and_bad_codes_finds_the_true_nearest(database, asked):
    user = identifier("user", asked)
    with database.connect() as owner:
        for name in MIXED:
            owner.execute("insert into matrice.user_projects values (%s, %s, 'viewer')", [user, identifier("project", name)])
    with database.connect() as member:
        sign_in(member, str(user))
        for count in (3, 10, 100):
            search = f"select chunk_id from matrice.match_chunks(%s::vector, null, {count}, model => 'of 384 dimensions')"
            assert mean_recall(member, MIXED, SETS[asked][1][:10], count, search) >= LEAST, count


def test_c3_vector_candidates_for_a_service_finds_the_true_nearest(database):
    with database.connect() as service:
        service.execute("set role service_role")
        names = [name for name in SETS if name != "WordLlama"]
        search = "select n.chunk_id from matrice_private.vector_candidates(%s::vector, matrice_private.searchable_projects(null), 'of 384 dimensions', 10, '{}') n"
        assert mean_recall(service, names, SETS["E5"][1][:20], 10, search) >= LEAST


def test_c3_match_chunks_orders_equal_vectors_by_id(member):
    name = "100 exact copies of each of 40"
    vectors, queries = SETS[name]
    similar = similarities(vectors, queries[:20])
    for query, of_query in zip(queries, similar):
        rows = member.execute("select chunk_id from matrice.match_chunks(%s::vector, %s, 10)", [as_text(query), identifier("project", name)]).fetchall()
        equal = numpy.flatnonzero(of_query >= of_query.max() - 1e-9)
        assert [row[0] for row in rows] == sorted(identifier("chunk", name, number) for number in equal)[:10]


@pytest.mark.parametrize("name", ["E5", "E5, one-signed", "E5, sparse and not negative", "E5, mean removed", "WordLlama"])
@pytest.mark.parametrize("kept", [1, 0.5])
# A cell without its pages is noticed, and then all vectors are compared.
@pytest.mark.parametrize("database", ["lists"], indirect=True)
def test_c3_search_recall_returns_the_measured_recall(database, name, kept):
    """Also where searches are bad, because codes are missing."""
    project, queries = identifier("project", name), SETS[name][1]
    with database.connect() as owner, owner.transaction(force_rollback=True):
        if kept < 1:
            owner.execute("delete from matrice_private.code_pages where project_id = %s and page %% 2 = 0", [project])
        owner.execute("select set_config('request.jwt.claims', json_build_object('sub', %s::text)::text, true)", [MEMBER])
        owner.execute("set local role authenticated")
        outside = mean_recall(owner, [name], queries[:60], 10, f"select chunk_id from matrice.match_chunks(%s::vector, '{project}', 10)")
        count, inside, least = owner.execute("select * from matrice.search_recall(%s, 60)", [project]).fetchone()
    assert count == 60 and least <= inside
    assert abs(inside - outside) < 0.15
    if kept == 1:
        assert inside >= LEAST and outside >= LEAST
    else:
        assert inside < 0.8 and outside < 0.8
