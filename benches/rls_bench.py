"""What row-level security costs: 1,000 projects, 1,000,000 chunks, a member of 5 projects and a member of 500."""

import os
import uuid

import harness

NAME = "bench_rls"
CHUNKS = int(os.environ.get("BENCH_CHUNKS", 1_000_000))
PROJECTS = 1000
MEMBERS = {n: uuid.UUID(int=n) for n in (5, 500)}


def load(owner):
    owner.execute("alter table matrice.source_chunks disable trigger user")
    owner.execute("insert into matrice.projects (id, name) select md5('p' || i)::uuid, 'project ' || i from generate_series(1, %s) i", [PROJECTS])
    owner.execute("insert into matrice.context_sources (id, project_id, name) select md5('s' || i)::uuid, md5('p' || i)::uuid, 'source' from generate_series(1, %s) i", [PROJECTS])
    owner.execute(
        "insert into matrice.source_chunks (source_id, project_id, chunk_index, content, token_count)"
        " select md5('s' || i %% %s + 1)::uuid, md5('p' || i %% %s + 1)::uuid, i / %s, repeat('some words of chunk ' || i || '. ', 8), 40"
        "   from generate_series(0, %s - 1) i", [PROJECTS, PROJECTS, PROJECTS, CHUNKS])
    owner.execute("alter table matrice.source_chunks enable trigger user")
    # Some 10,000 memberships of others, as there would be.
    owner.execute("insert into matrice.user_projects select md5('u' || i %% 2000)::uuid, md5('p' || i * 7919::bigint %% %s + 1)::uuid, 'viewer'"
                  "  from generate_series(1, 10000) i on conflict do nothing", [PROJECTS])
    for count, user in MEMBERS.items():
        owner.execute("insert into matrice.user_projects select %s, md5('p' || i)::uuid, 'editor' from generate_series(1, %s) i", [user, count])
    # The seed's policies over the same rows and indexes.
    owner.execute("""
        create schema seed;
        create function seed.uid() returns uuid language sql stable as
          $$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
        create table seed.user_projects as select * from matrice.user_projects;
        create index on seed.user_projects (user_id);
        create table seed.source_chunks as select * from matrice.source_chunks;
        create index on seed.source_chunks (project_id, source_id);
        alter table seed.source_chunks enable row level security;
        create policy "seed" on seed.source_chunks for select
          using (project_id in (select project_id from seed.user_projects where user_id = seed.uid()));
        grant usage on schema seed to authenticated;
        grant select on all tables in schema seed to authenticated;
    """)
    owner.execute("vacuum analyze")


QUERIES = {
    "count one project": "select count(*) from {}.source_chunks where project_id = %s",
    "list one project": "select id, chunk_index, content from {}.source_chunks where project_id = %s",
    "list without a project": "select id, content from {}.source_chunks limit 50",
    "count all visible": "select count(*) from {}.source_chunks",
}


def main():
    owner = harness.database(NAME)
    load(owner)
    project = owner.execute("select md5('p1')::uuid").fetchone()[0]
    rows = []
    for count, user in MEMBERS.items():
        member = harness.signed_in(NAME, user)
        for label, query in QUERIES.items():
            arguments = [project] if "%s" in query else None
            calls = {"matrice": (member, query.format("matrice"), arguments)}
            if arguments:
                calls["free"] = (owner, query.format("matrice"), arguments)
            took = harness.medians_ms(calls)
            seed = harness.medians_ms({"seed": (member, query.format("seed"), arguments)}, runs=11, warm_up=2)["seed"]
            plan = member.execute("explain " + query.format("matrice"), arguments).fetchall()
            indexed = any("Index Cond" in line[0] and "project_id" in line[0] for line in plan)
            free = took.get("free")
            rows.append([f"{label}, member of {count}", took["matrice"], free or "", took["matrice"] / free if free else "",
                         "yes" if indexed else "no", seed, seed / took["matrice"]])
    print(f"{CHUNKS:,} chunks, {PROJECTS:,} projects; medians in ms\n")
    harness.table(["query", "matrice", "superuser without RLS", "ratio", "index condition", "the seed's policies", "times slower"], rows)


main()
