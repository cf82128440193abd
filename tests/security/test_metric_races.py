"""The sums that workflow_metrics reads are those of the rows themselves, whatever happens at the same moment."""

import json
import os
import random
import threading
from decimal import Decimal

import psycopg
import pytest

from crowds import EDITORS, OWNER, new_project, run, session

SEED = int(os.environ.get("METRICS_SEED", random.randrange(10**6)))
WRITERS, CALLS = 8, int(os.environ.get("METRICS_CALLS", 60))
SINCE, UNTIL = "2026-03-27 00:00Z", "2026-04-02 00:00Z"
MODELS = ["gpt-4o", "gpt-4o-mini", "own-model", None]
# What may happen when several change the same rows: it has ended already, its key is taken, it or its run is gone, there is none yet, a
# deadlock, or a row that the same writer's other connection has locked.
EXPECTED = {"PT409", "23503", "PT404", "22004", "40P01", "55P03"}

# Rows that were purged keep what was known of their runs.
SHADOW = """
create table public.purged_runs as select * from matrice.workflow_runs limit 0;
create table public.purged_steps as
  select s.*, null::text as workflow_id, null::text as phase, null::text as user_id from matrice.workflow_steps s limit 0;
create view public.all_runs as
  select *, coalesce(user_key, created_by::text) as user_id from (select * from matrice.workflow_runs union all select * from public.purged_runs) r;
create view public.all_steps as
  select s.*, r.workflow_id, r.phase, coalesce(r.user_key, r.created_by::text) as user_id
    from matrice.workflow_steps s join matrice.workflow_runs r on r.id = s.run_id where s.status <> 'running'
  union all select * from public.purged_steps;
create view public.all_calls as
  select distinct r.id, r.workflow_id, r.phase, r.started_at, r.status, r.is_failure_handler, nullif(s.model, '') as model
    from public.all_runs r join public.all_steps s on s.run_id = r.id;
"""
RUNS = """count(*) as runs, count(*) filter (where status = 'completed' and not is_failure_handler) as succeeded,
  count(*) filter (where status = 'failed') as failed, count(*) filter (where status = 'running') as running,
  count(*) filter (where status = 'cancelled') as cancelled"""
STEPS = """count(*) filter (where corrects is null) as steps, count(*) filter (where corrects is null and status = 'failed') as failed_steps,
  count(*) filter (where corrects is null and status = 'skipped') as skipped_steps,
  count(*) filter (where corrects is null and attempt > 0) as retried_steps,
  count(*) filter (where corrects is null and cost_usd is null and status <> 'skipped'
    and (tokens_input + tokens_output > 0 or model <> '' and status = 'success')
    and not exists (select from public.all_steps o where o.corrects = s.id and o.cost_usd is not null)) as unpriced_steps,
  sum(tokens_input) as tokens_input, sum(tokens_output) as tokens_output, sum(cached_tokens) as cached_tokens,
  coalesce(sum(cost_usd), 0) as cost_usd,
  percentile_cont(0.95) within group (order by latency_ms) filter (where status <> 'skipped') as p95_ms"""
ZONE = "Asia/Kathmandu"
DAY = f"to_char({{}} at time zone '{ZONE}', 'YYYY-MM-DD')"
# Of each group: what it is of steps and of runs, and which rows are the runs; none by step.
GROUPS = {
    "day": (DAY.format("executed_at"), DAY.format("started_at"), "all_runs"),
    "workflow": ("workflow_id", "workflow_id", "all_runs"),
    "phase": ("phase", "phase", "all_runs"),
    "user": ("user_id", "user_id", "all_runs"),
    "model": ("nullif(model, '')", "model", "all_calls"),
    "step": ("step_name", None, None),
}
FIGURES = ["steps", "failed_steps", "skipped_steps", "retried_steps", "unpriced_steps", "tokens_input", "tokens_output", "cached_tokens", "cost_usd"]
OF_RUNS = ["runs", "succeeded", "failed", "running", "cancelled"]


@pytest.fixture
def world(matrice_database):
    database = matrice_database()
    database.rows("select matrice.register_model('tiny', 2)")
    with database.connect() as connection:
        database.project = new_project(connection)
        connection.execute(SHADOW)
    return database


def differences(connection, project):
    """Figures that are not the sums of the rows, in one snapshot."""
    found = []
    connection.autocommit = False
    connection.execute("set transaction isolation level repeatable read")
    for group, (of_steps, of_runs, table) in GROUPS.items():
        runs = f"select {of_runs} as bucket, {RUNS} from public.{table} where started_at >= %(since)s and started_at < %(until)s group by 1" if table else \
            "select null::text as bucket, null::bigint as runs, 0 as succeeded, 0 as failed, 0 as running, 0 as cancelled limit 0"
        different = connection.execute(
            f"""with runs as ({runs}),
                steps as (select {of_steps} as bucket, {STEPS} from public.all_steps s where executed_at >= %(since)s and executed_at < %(until)s group by 1),
                rows as (
                  select coalesce(r.bucket, s.bucket) as bucket, {", ".join(f"coalesce(r.{f}, 0)::numeric as {f}" for f in OF_RUNS)},
                         {", ".join(f"coalesce(s.{f}, 0)::numeric as {f}" for f in FIGURES)}, s.p95_ms
                    from runs r full join steps s on coalesce(r.bucket, '?') = coalesce(s.bucket, '?')),
                sums as (
                  select bucket, {", ".join(f"coalesce({f}, 0)::numeric as {f}" for f in OF_RUNS + FIGURES)}, p95_ms
                    from matrice.workflow_metrics(%(project)s, %(since)s, %(until)s, %(group)s, time_zone => %(zone)s))
                select to_json(r), to_json(s) from rows r full join sums s on coalesce(r.bucket, '?') = coalesce(s.bucket, '?')
                 where ({", ".join(f"r.{f}" for f in OF_RUNS + FIGURES)}) is distinct from ({", ".join(f"s.{f}" for f in OF_RUNS + FIGURES)})
                    or (r.p95_ms is null) <> (s.p95_ms is null) or abs(s.p95_ms - r.p95_ms) > 0.0100001 * r.p95_ms""",
            {"since": SINCE, "until": UNTIL, "project": project, "group": group, "zone": ZONE}).fetchall()
        # Only what differs: the whole rows are too long to read.
        found += [(group, (rows or sums)["bucket"], rows and sums and {key: (rows[key], sums[key]) for key in rows if rows[key] != sums[key]})
                  for rows, sums in different]
    connection.rollback()
    connection.autocommit = True
    return found


class Writer:
    def __init__(self, world, number, seed):
        self.world, self.rng, self.number = world, random.Random(f"{seed} {number}"), number

    def time(self):
        return f"2026-03-{self.rng.randint(27, 31)} {self.rng.randint(0, 23):02}:{self.rng.randint(0, 59):02}Z"

    def step(self, run_id):
        rng = self.rng
        call = {"run_id": str(run_id), "step_name": rng.choice("abc"), "status": rng.choice(["success", "success", "failed", "skipped", "running"]),
                "model": rng.choice(MODELS), "attempt": rng.randint(0, 1), "latency_ms": rng.randint(1, 100_000), "executed_at": self.time()}
        if rng.random() < 0.7:
            call["usage"] = {"prompt_tokens": 1000, "completion_tokens": rng.randint(0, 50), "prompt_tokens_details": {"cached_tokens": rng.randint(0, 900)}}
        if rng.random() < 0.2:
            call["cost_usd"] = rng.randint(0, 10**6) / 10**6
        if call["status"] == "running" or rng.random() < 0.3:
            call["step_key"] = f"{call['step_name']} {rng.randint(1, 5)}"
        return call

    def act(self, connection):
        rng, project = self.rng, self.world.project
        one = lambda table: f"(select id from matrice.{table} where project_id = '{project}' order by md5(id::text || {rng.randint(1, 10**9)}) limit 1)"
        anyone = connection.execute(f"select {one('workflow_runs')}").fetchone()[0]
        choice = rng.choices(
            ["start", "step", "steps", "finish", "correct", "reprice", "delete", "delete run", "change", "move", "reap", "merge", "recount"],
            [4, 10, 5, 4, 3, 1, 2, 1, 2, 2, 1, 2, 1])[0]
        if anyone is None or choice == "start":
            connection.execute("select matrice.start_run(%s, %s, 'e', phase => %s, user_key => %s, started_at => %s, is_failure_handler => %s)", [
                project, rng.choice(["w1", "w2"]), rng.choice(["P1", None]), rng.choice(["ann", None]), self.time(), rng.random() < 0.2])
        elif choice == "step":
            call = self.step(anyone)
            connection.execute(f"select matrice.record_step({', '.join(f'{key} => %s' for key in call)})",
                               [json.dumps(value) if isinstance(value, dict) else Decimal(str(value)) if isinstance(value, float) else value for value in call.values()])
        elif choice == "steps":
            connection.execute("select matrice.record_steps(%s)", [json.dumps([self.step(anyone) for _ in range(rng.randint(1, 40))])])
        elif choice == "finish":
            connection.execute("select matrice.finish_run(%s, %s, attempt => %s)", [anyone, rng.choice(["completed", "failed", "cancelled"]), rng.randint(0, 5)])
        elif choice == "correct":
            connection.execute(f"select matrice.correct_step({one('workflow_steps')}, 'why', cost_usd => %s, tokens_input => %s)",
                               [rng.choice([Decimal("0.5"), None]), rng.randint(0, 2000)])
        elif choice == "reprice":
            connection.execute("select matrice.set_price(%s, 'own-model', '{\"input\": 1, \"output\": 2}', valid_from => '2020-01-01Z')", [project])
            connection.execute("select matrice.reprice(%s, %s)", [project, self.time()])
        elif choice == "reap":
            connection.execute("select matrice.reap_runs('1 day', %s)", [project])
        elif choice == "merge":
            self.world.rows("select matrice_private.merge_metrics(%s, %s)", [project, rng.choice([1, 10, 1000])])
        else:
            self.change(choice, one)

    def change(self, choice, one):
        """What only the owner of the tables may do."""
        rng = self.rng
        statement = {
            "delete": f"delete from matrice.workflow_steps where id = {one('workflow_steps')}",
            "delete run": f"delete from matrice.workflow_runs where id = {one('workflow_runs')}",
            "change": f"update matrice.workflow_steps set executed_at = '{self.time()}', model = 'gpt-4o', tokens_input = {rng.randint(0, 99)}"
                      f" where id = {one('workflow_steps')} and corrects is null",
            "move": f"update matrice.workflow_runs set workflow_id = 'w{rng.randint(1, 3)}', phase = 'P{rng.randint(1, 2)}', user_key = 'bob',"
                    f" started_at = '{self.time()}' where id = {one('workflow_runs')}",
            # What rebuild_metrics does, in many parts.
            "recount": f"select matrice_private.count_again('{self.world.project}', 25)",
        }[choice]
        with self.world.connect() as owner:
            owner.execute("set lock_timeout = '300ms'")
            owner.execute(statement)

    def work(self):
        """Some transactions of one to three calls; some are rolled back, wholly or to a savepoint."""
        with session(self.world, None, autocommit=False) as connection:
            for _ in range(CALLS):
                try:
                    for _ in range(self.rng.randint(1, 3)):
                        if self.rng.random() < 0.2:
                            with connection.transaction(force_rollback=True):
                                self.act(connection)
                        else:
                            self.act(connection)
                        if self.rng.random() < 0.7:
                            connection.commit()
                    connection.rollback() if self.rng.random() < 0.2 else connection.commit()
                except psycopg.Error as error:
                    assert error.sqlstate in EXPECTED, error
                    connection.rollback()


def crowd(world, seed):
    """Writers at once, and a reader who compares while they write."""
    done, found = threading.Event(), []

    def watch():
        with world.connect() as connection:
            while not done.is_set():
                found.extend(differences(connection, world.project))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run(*(Writer(world, number, seed).work for number in range(WRITERS)))
    finally:
        done.set()
        watcher.join()
    assert not found, (seed, found[:3])


def check(world, when):
    with world.connect() as connection:
        found = differences(connection, world.project)
        assert not found, (SEED, when, found[:3])
        while connection.execute("select matrice_private.merge_metrics(%s, 50)", [world.project]).fetchone()[0]:
            pass
        found = differences(connection, world.project)
        assert not found, (SEED, when, "added up", found[:3])


def test_sums_are_those_of_the_rows(world):
    crowd(world, f"{SEED} first")
    assert world.value("select count(*) from matrice.workflow_steps") > 200
    check(world, "written by many at once")
    world.rows("""with kept as (insert into public.purged_runs select * from matrice.workflow_runs)
                  insert into public.purged_steps
                  select s.*, r.workflow_id, r.phase, coalesce(r.user_key, r.created_by::text)
                    from matrice.workflow_steps s join matrice.workflow_runs r on r.id = s.run_id where s.status <> 'running'""")
    before = world.value("select count(*) from matrice.workflow_steps")
    with session(world, OWNER) as owner:
        while owner.execute("select matrice.purge_steps(%s, '2026-03-29 17:20Z', 37)", [world.project]).fetchone()[0]:
            pass
    world.rows("delete from public.purged_runs p where exists (select from matrice.workflow_runs r where r.id = p.id)")
    world.rows("delete from public.purged_steps p where exists (select from matrice.workflow_steps s where s.id = p.id)")
    assert world.value("select count(*) from matrice.workflow_steps") < before
    check(world, "purged")
    crowd(world, f"{SEED} second")
    check(world, "written after purging")
    with session(world, OWNER) as owner:
        owner.execute("select matrice.rebuild_metrics(%s)", [world.project])
    check(world, "counted again")


def test_nobody_waits_for_who_adds_up(world):
    with session(world, EDITORS[0]) as editor:
        run_id = editor.execute("select matrice.start_run(%s, 'w', 'e')", [world.project]).fetchone()[0]
        with world.connect() as merging:
            merging.autocommit = False
            assert merging.execute("select matrice_private.merge_metrics(%s)", [world.project]).fetchone()[0]
            editor.execute("select set_config('lock_timeout', '1s', false)")
            editor.execute("select matrice.record_steps(%s)", [json.dumps([{"run_id": str(run_id), "step_name": "s", "status": "success"}] * 5000)])
            editor.execute("select matrice.finish_run(%s, 'completed')", [run_id])
            assert editor.execute("select steps, succeeded from matrice.workflow_metrics(%s, now() - interval '1 day')", [world.project]).fetchall() == [(5000, 1)]
            merging.commit()
