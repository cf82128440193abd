"""The server may load the extension when it starts, for all its backends."""

import subprocess

import psycopg
import pytest

from conftest import ROOT

CLUSTER = "preload"


def cluster(*arguments):
    return subprocess.run([ROOT / "scripts" / "cluster", *arguments], check=True, capture_output=True, text=True).stdout


def test_count_tokens_works_from_shared_preload_libraries():
    cluster("start", CLUSTER, "shared_preload_libraries=matrice")
    try:
        shell = f'eval "$({ROOT}/scripts/cluster env {CLUSTER})"; echo "host=$PGHOST port=$PGPORT"'
        server = subprocess.run(["bash", "-c", shell], check=True, capture_output=True, text=True).stdout
        with psycopg.connect(server, dbname="postgres", user="postgres", autocommit=True) as connection:
            connection.execute("drop extension if exists matrice; drop schema if exists matrice, matrice_private cascade")
            connection.execute("create extension if not exists vector; create extension matrice")
            assert connection.execute("show shared_preload_libraries").fetchone()[0] == "matrice"
            assert connection.execute("select matrice.count_tokens('still here')").fetchone()[0] == 2
            with psycopg.connect(server, dbname="postgres", user="postgres") as other:
                assert other.execute("select count(*) from matrice.chunk_text(repeat('some words. ', 1000), 64, 0)").fetchone()[0] > 10
                with pytest.raises(psycopg.errors.InvalidParameterValue):
                    other.execute("select matrice.count_tokens('x', 'no-such')")
    finally:
        cluster("stop", CLUSTER)
