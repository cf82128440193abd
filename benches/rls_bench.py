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


def main():
    owner = harness.database(NAME)
    load(owner)
    project = owner.execute("select md5('p1')::uuid").fetchone()[0]
    queries = {
        "count one project": ("select count(*) from {}.source_chunks where project_id = %s", [project]),
        "list one project": ("select id, content from {}.source_chunks where project_id = %s order by id limit 100", [project]),
        "list without a project": ("select id, content from {}.source_chunks limit 50", None),
        "count all visible": ("select count(*) from {}.source_chunks", None),
    }
    rows = []
    for count, user in MEMBERS.items():
        member = harness.signed_in(NAME, user)
        for label, (query, arguments) in queries.items():
            matrice = harness.median_ms(member, query.format("matrice"), arguments)
            seed = harness.median_ms(member, query.format("seed"), arguments, runs=7)
            free = harness.median_ms(owner, query.format("matrice"), arguments) if arguments else None
            plan = member.execute("explain " + query.format("matrice"), arguments).fetchall()
            indexed = any("Index Cond" in line[0] and "project_id" in line[0] for line in plan)
            rows.append([f"{label}, member of {count}", matrice, free if free else "", matrice / free if free else "",
                         "yes" if indexed else "no", seed, seed / matrice])
    print(f"{CHUNKS:,} chunks, {PROJECTS:,} projects; medians in ms\n")
    harness.table(["query", "matrice", "superuser without RLS", "ratio", "index condition", "the seed's policies", "times slower"], rows)


main()
