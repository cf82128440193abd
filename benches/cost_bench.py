"""What random calls cost, compared with `litellm.cost_per_token`; and how long the calculation takes.

Every model of LiteLLM's price map that has a price for tokens is called a few times, with cached, written, audio and reasoning
tokens, service tiers, data residency, and at a random hour. Differences are counted by their cause.
"""

import json
import os
import random
import statistics
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from litellm._internal_context import pinned_billing_time
from litellm.types.utils import (
    CacheCreationTokenDetails,
    CompletionTokensDetailsWrapper,
    PromptTokensDetailsWrapper,
    Usage,
)

import harness

NAME = "bench_cost"
CALLS = int(os.environ.get("BENCH_CALLS", 5))
SEED = int(os.environ.get("BENCH_SEED", 7))
MODES = {"chat", "responses", "completion", "embedding"}
# For these, LiteLLM signs in before it says a price.
SKIPPED = {"chatgpt", "github_copilot"}
TIERS = [None, None, None, "batch", "flex", "priority", "ultrafast", "balanced"]
SIZES = [1, 1000, 30_000, 128_001, 200_000, 200_001, 272_001, 600_000]


def models():
    for model, entry in litellm.model_cost.items():
        if entry.get("mode") in MODES and entry.get("input_cost_per_token") is not None and entry.get("litellm_provider") not in SKIPPED | {None}:
            yield model, entry


def random_call(draw, entry):
    """Disjoint counts by unit, and the options."""
    total = draw.choice(SIZES)
    counts = {"output": 0 if entry["mode"] == "embedding" else draw.choice([0, 1, 5000])}
    left = total
    for unit, has in [("cache_read", "cache_read_input_token_cost"), ("cache_write", "cache_creation_input_token_cost"),
                      ("cache_write_1h", "cache_creation_input_token_cost_above_1hr"),
                      ("cache_write_12h", "cache_creation_input_token_cost_above_12hr"), ("input_audio", "input_cost_per_audio_token")]:
        if has in entry and draw.random() < 0.4:
            counts[unit] = draw.randint(0, left // 2)
            left -= counts[unit]
    counts["input"] = left
    if "output_cost_per_reasoning_token" in entry and draw.random() < 0.5:
        counts["reasoning"] = draw.choice([1, 700])
    options = {}
    if tier := draw.choice(TIERS):
        options["service_tier"] = tier
    if draw.random() < 0.1:
        options["data_residency"] = draw.choice(["eu", "us", "fedramp"])
    at = datetime(2026, 11, 16, tzinfo=UTC) + timedelta(minutes=draw.randrange(7 * 24 * 60))
    return counts, options, at


def by_litellm(model, entry, counts, options, at):
    at_5m, at_1h, at_12h = (counts.get(unit, 0) for unit in ("cache_write", "cache_write_1h", "cache_write_12h"))
    total = sum(n for unit, n in counts.items() if unit not in ("output", "reasoning"))
    ttl = CacheCreationTokenDetails(ephemeral_5m_input_tokens=at_5m, ephemeral_1h_input_tokens=at_1h, ephemeral_12h_input_tokens=at_12h)
    usage = Usage(
        prompt_tokens=total,
        completion_tokens=counts["output"] + counts.get("reasoning", 0),
        cache_creation_input_tokens=at_5m + at_1h + at_12h,
        prompt_tokens_details=PromptTokensDetailsWrapper(
            cached_tokens=counts.get("cache_read", 0), audio_tokens=counts.get("input_audio", 0),
            cache_creation_tokens=at_5m + at_1h + at_12h, cache_creation_token_details=ttl),
        completion_tokens_details=CompletionTokensDetailsWrapper(reasoning_tokens=counts.get("reasoning", 0)),
    )
    batch = options.get("service_tier") == "batch"
    with pinned_billing_time(at):
        return sum(litellm.cost_per_token(
            model=model, custom_llm_provider=entry["litellm_provider"], usage_object=usage,
            service_tier=None if batch else options.get("service_tier"), data_residency=options.get("data_residency"),
            call_type="aretrieve_batch" if batch else "completion"))


def cause(entry, counts, options, ours, theirs):
    """Why the two differ: the first cause that fits."""
    tier = options.get("service_tier")
    suffix = {"batch": "batches"}.get(tier, tier)
    total = sum(n for unit, n in counts.items() if unit not in ("output", "reasoning"))
    has_tier = any(key.startswith("input_cost_per_token") and key.endswith(f"_{suffix}") for key in entry)
    limits = [int(key.split("_above_")[1].split("k")[0]) * 1000 for key in entry if key.startswith("input_cost_per_token_above_")]
    if ours is None and theirs == 0:
        return "null: 0 in the map may mean that the price is unknown"
    if ours is None and tier == "batch":
        return "null: nobody says what a batch costs; LiteLLM takes half"
    if ours is None:
        return "null: the price is wrong (a thousand times that of its siblings)"
    if tier and has_tier and any(total > limit for limit in limits):
        return "a tier without a rate above a threshold: its proportion is kept; LiteLLM takes the standard rate or the one below"
    if tier and has_tier and entry["litellm_provider"] == "fireworks_ai":
        return "LiteLLM does not look at the tiers of Fireworks"
    if tier and has_tier:
        return "a unit without a rate in the tier: the tier's proportion is kept; LiteLLM takes another rate of the tier, or the standard one"
    if counts.get("cache_write_1h") or counts.get("cache_write_12h"):
        return "cached for an hour, above a threshold: LiteLLM takes the rate below it"
    if entry["litellm_provider"] == "perplexity":
        return "LiteLLM reads the price of another model of Perplexity, whose name is the end of this one's"
    return "other"


def compare(connection):
    draw = random.Random(SEED)
    agreed, causes, examples, unpriced = 0, Counter(), {}, Counter()
    for model, entry in models():
        for _ in range(CALLS):
            counts, options, at = random_call(draw, entry)
            try:
                theirs = by_litellm(model, entry, counts, options, at)
            except Exception as problem:
                unpriced[type(problem).__name__] += 1
                continue
            total = sum(n for unit, n in counts.items() if unit not in ("output", "reasoning"))
            ours, note = connection.execute(
                "select * from matrice_private.cost_of_counts(%s, %s, %s, %s, %s)",
                [model, json.dumps(counts), total, json.dumps(options), at]).fetchone()
            if ours is not None and abs(ours - Decimal(theirs)) <= Decimal("1e-9") * max(ours, Decimal("1e-6")):
                agreed += 1
                continue
            why = cause(entry, counts, options, ours, theirs)
            causes[why] += 1
            examples.setdefault(why, []).append((model, counts, options, at.isoformat(), str(ours), theirs, note))
    total = agreed + sum(causes.values())
    print(f"\n{total} calls of {len(list(models()))} models, seed {SEED}: {agreed} agree ({agreed / total:.2%}).")
    print(f"LiteLLM raised in {sum(unpriced.values())} more.\n")
    harness.table(["difference", "calls"], [[why, n] for why, n in causes.most_common()])
    if os.environ.get("BENCH_EXAMPLES"):
        for why, found in examples.items():
            print(why)
            for example in random.Random(1).sample(found, min(int(os.environ["BENCH_EXAMPLES"]), len(found))):
                print("  ", *example)


def measure(connection, rows=100_000):
    """Microseconds for each call, within one statement."""
    calls = {
        "a model by its name": ("gpt-4o", "{}"),
        "a service tier": ("gpt-5", '{"service_tier": "flex"}'),
        "provider/model": ("openai/gpt-5", "{}"),
        "a name that nobody sells": ("no-such-model", "{}"),
    }
    taken = []
    for what, (model, options) in calls.items():
        (started,), = connection.execute("select clock_timestamp()").fetchall()
        ended, = connection.execute(
            f"""select clock_timestamp() from (
                  select count(c.cost_usd) from generate_series(1, {rows}) g,
                         matrice_private.cost_of_counts('{model}', jsonb_build_object('input', g, 'cache_read', 800, 'output', 200), g + 800,
                                                        '{options}', now()) c) c where c is not null""").fetchone()
        taken.append([what, (ended - started).total_seconds() * 1e6 / rows])
    harness.table(["call", "µs"], taken)
    rows = []
    for name, call in {"calculate_cost": "'gpt-4o', i, 100",
                       "calculate_cost, with usage": "'gpt-4o', null, null, jsonb_build_object('prompt_tokens', i, 'completion_tokens', 100)",
                       "calculate_cost, provider/model": "'openai/gpt-5', i, 100"}.items():
        rows.append([name, *per_call(connection, f"do $$ begin for i in 1 .. 20000 loop perform matrice.calculate_cost({call}); end loop; end $$", 20_000)])
    harness.table(["call, in a loop in the server", "wall, µs", "processor, µs"], rows)


def per_call(connection, statement, calls):
    """Wall and processor time of a call in microseconds: the median of five statements."""
    walls, processors = [], []
    for _ in range(6):
        started, processor = time.perf_counter(), harness.processor_seconds(connection)
        connection.execute(statement)
        walls.append((time.perf_counter() - started) * 1e6 / calls)
        processors.append((harness.processor_seconds(connection) - processor) * 1e6 / calls)
    return statistics.median(walls[1:]), statistics.median(processors[1:])


USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}
TRIGGERS = ["alter table matrice.workflow_steps {} trigger note_added", "alter table matrice.workflow_runs {} trigger note_added",
            "alter table matrice.workflow_runs {} trigger note_changed"]
SHAPE = "select count(*), sum(steps), sum(cost_usd) from matrice.workflow_metrics(%s, now() - interval '90 days', group_by => %s, time_zone => %s)"


def new_project(connection):
    project = connection.execute("insert into matrice.projects (name) values ('Bench') returning id").fetchone()[0]
    runs = [connection.execute("select matrice.start_run(%s, %s, 'e', user_key => %s)", [project, f"w{n % 5}", f"u{n % 20}"]).fetchone()[0]
            for n in range(200)]
    return project, runs


def measure_recording(connection, rounds=9):
    """What it costs a writer that metrics are kept: adding up is part of it. Both ways are measured in turn."""
    connection.execute("set synchronous_commit = off")
    _, runs = new_project(connection)
    one = lambda n: connection.execute(
        "select matrice.record_step(%s, %s, 'success', latency_ms => %s, model => 'gpt-4o', usage => %s)",
        [runs[n % 200], f"step {n % 3}", n % 5000, json.dumps(USAGE)], prepare=True)
    batch = json.dumps([{"run_id": str(runs[n % 200]), "step_name": f"step {n % 3}", "status": "success", "latency_ms": n % 5000,
                         "model": "gpt-4o", "usage": USAGE} for n in range(10_000)])
    calls = {"record_step": (lambda: [one(n) for n in range(4000)], 4000),
             "record_steps of 10,000": (lambda: connection.execute("select matrice.record_steps(%s)", [batch]), 10_000)}
    rows = []
    for name, (call, steps) in calls.items():
        taken = {"disable": [], "enable": []}
        for turn in range(rounds + 1):
            for way in taken:
                for trigger in TRIGGERS:
                    connection.execute(trigger.format(way))
                started = harness.processor_seconds(connection)
                call()
                if turn:
                    taken[way].append((harness.processor_seconds(connection) - started) * 1e6 / steps)
        without, kept = (statistics.median(taken[way]) for way in taken)
        rows.append([name, without, kept, f"{kept / without:.3f}"])
    harness.table(["call", "without metrics, µs a step", "with them", "ratio"], rows)


def measure_writing(connection, calls=4000, steps=10_000):
    """Steps one by one, each in a transaction of its own; and many in one statement, beside a table without triggers."""
    connection.execute("set synchronous_commit = off")
    project, runs = new_project(connection)
    listed = "array['" + "', '".join(str(run) for run in runs) + "']::uuid[]"
    connection.execute("create table public.plain_steps (like matrice.workflow_steps including defaults including indexes)")
    connection.execute(
        f"""create table public.given_steps as
            select ({listed})[1 + g %% 200] as run_id, %s::uuid as project_id, 'step ' || g %% 3 as step_name, 'success' as status, g %% 5000 as latency_ms,
                   'gpt-4o' as model, %s::jsonb as usage, now() as executed_at from generate_series(1, {steps}) g""", [project, json.dumps(USAGE)])
    connection.execute("create table public.given_batch as select jsonb_agg(to_jsonb(g) - 'project_id') as steps from public.given_steps g")
    loop = f"""do $$ declare runs uuid[] := {listed}; begin for i in 1 .. {calls} loop
                 perform matrice.record_step(runs[1 + i % 200], 'step ' || i % 3, 'success', latency_ms => i % 5000, model => 'gpt-4o',
                                             usage => '{json.dumps(USAGE)}'); commit; end loop; end $$"""
    wall, processor = per_call(connection, loop, calls)
    harness.table(["call, in a loop in the server", "a second", "wall, µs", "processor, µs"], [["record_step, commit", 1e6 / wall, wall, processor]])
    columns = "run_id, project_id, step_name, status, latency_ms, model, usage, executed_at"
    insert = "insert into {} (" + columns + ") select " + columns + " from public.given_steps"
    ways = {"INSERT into an equal table without triggers": insert.format("public.plain_steps"),
            "INSERT into workflow_steps": insert.format("matrice.workflow_steps"),
            "record_steps": "select matrice.record_steps(steps) from public.given_batch"}
    taken = {name: per_call(connection, statement, steps) for name, statement in ways.items()}
    plain = taken["INSERT into an equal table without triggers"]
    harness.table([f"{steps:,} steps in a statement", "wall, µs a step", "processor, µs a step", "ratio of processor time"],
                  [[name, *took, took[1] / plain[1]] for name, took in taken.items()])


def measure_repricing(connection, steps=20_000):
    """Half of the steps have a cost; the others get it, because their model has a price now."""
    connection.execute("set synchronous_commit = off")
    project, runs = new_project(connection)
    connection.execute(
        """insert into matrice.workflow_steps (run_id, project_id, step_name, status, model, usage, executed_at)
           select %s::uuid, %s::uuid, 's', 'success', case when g %% 2 = 0 then 'gpt-4o' else 'our-model' end,
                  jsonb_build_object('prompt_tokens', g, 'completion_tokens', 100), now() - g * interval '10 seconds' from generate_series(1, %s) g""",
        [runs[0], project, steps])
    connection.execute("select matrice.set_price(%s, 'our-model', same_as => 'gpt-4o', valid_from => '2020-01-01Z')", [project])
    rows = []
    for name in ["half of them get a cost", "none does"]:
        started, processor = time.perf_counter(), harness.processor_seconds(connection)
        filled = connection.execute("select count(*) from matrice.reprice(%s, '2020-01-01Z') where is_filled", [project]).fetchone()[0]
        rows.append([name, filled, (time.perf_counter() - started) * 1e6 / steps, (harness.processor_seconds(connection) - processor) * 1e6 / steps])
    harness.table([f"reprice of {steps:,} steps", "filled", "wall, µs a step", "processor, µs a step"], rows)


def is_exact(connection, project, time_zone):
    """Whether the sums by day are those of a plain query of all steps. The first and the last day are cut by the clock."""
    return connection.execute(
        """with days as (select date_trunc('day', s.executed_at, %(zone)s) as day, count(*) as steps, sum(s.tokens_output) as tokens, sum(s.cost_usd) as cost
                           from matrice.workflow_steps s where s.project_id = %(project)s group by 1)
           select count(*) > 80 and bool_and((m.steps, m.tokens_output, m.cost_usd) = (d.steps, d.tokens, d.cost))
             from days d join matrice.workflow_metrics(%(project)s, '2000-01-01Z', time_zone => %(zone)s) m
               on m.bucket = to_char(d.day at time zone %(zone)s, 'YYYY-MM-DD')""", {"project": project, "zone": time_zone}).fetchone()[0]


def load(connection, steps):
    """Steps of 90 days, ten in a run, without their triggers, and then counted: what a restore does."""
    project = connection.execute("insert into matrice.projects (name) values ('Large') returning id").fetchone()[0]
    connection.execute("set session_replication_role = replica")
    connection.execute(
        """insert into matrice.workflow_runs (id, project_id, workflow_id, event_name, status, phase, user_key, started_at)
           select md5(%(project)s || g)::uuid, %(project)s::uuid, 'w' || g %% 5, 'e', 'completed', 'P' || 1 + g %% 6, 'u' || g %% 50,
                  now() - g * interval '90 days' / (%(steps)s / 10 + 1) from generate_series(1, %(steps)s / 10) g""", {"project": str(project), "steps": steps})
    connection.execute(
        """insert into matrice.workflow_steps (run_id, project_id, step_name, status, latency_ms, model, tokens_input, tokens_output,
                                               cost_usd, cost_source, executed_at)
           select md5(%(project)s || g)::uuid, %(project)s::uuid, 'step ' || j, case when j = 9 then 'failed' else 'success' end,
                  exp(random() * 10)::integer, (array['gpt-4o', 'gpt-5', 'claude-sonnet-4-5', 'gpt-4o-mini'])[1 + j %% 4], 1000, j, 0.0025, 'provided',
                  now() - g * interval '90 days' / (%(steps)s / 10 + 1) from generate_series(1, %(steps)s / 10) g cross join generate_series(0, 9) j""",
        {"project": str(project), "steps": steps})
    connection.execute("set session_replication_role = origin")
    connection.execute("analyze matrice.workflow_runs")
    connection.execute("analyze matrice.workflow_steps")
    started = time.perf_counter()
    connection.execute("select matrice.rebuild_metrics(%s)", [project])
    print(f"rebuild_metrics of {steps:,} steps: {time.perf_counter() - started:.0f} s\n")
    return project


def measure_metrics(connection):
    """Figures of 90 days: with all steps added up, and with 2,000 that are not yet."""
    for steps in [int(n) for n in os.environ.get("BENCH_STEPS", "1000000").split(",")]:
        project = load(connection, steps)
        connection.execute("vacuum analyze matrice_private.metrics")
        ways = [("day", "UTC"), ("day", "Asia/Kathmandu"), ("month", "Europe/Paris"), ("workflow", "UTC"), ("model", "UTC"), ("step", "UTC"), ("user", "UTC")]
        calls = {f"by {group}, {zone}": (connection, SHAPE, [project, group, zone]) for group, zone in ways}
        for zone in ("UTC", "Asia/Kathmandu"):
            print(f"The sums by day in {zone} are those of a plain query: {is_exact(connection, project, zone)}\n")
        before = harness.medians_ms(calls, runs=7, warm_up=1)
        run_id = connection.execute("select matrice.start_run(%s, 'w', 'e')", [project]).fetchone()[0]
        for _ in range(4):
            connection.execute("select matrice.record_steps(%s)", [json.dumps([{"run_id": str(run_id), "step_name": "s", "status": "success"}] * 499)])
        waiting = connection.execute("select count(*) from matrice_private.metric_changes where project_id = %s", [project]).fetchone()[0]
        after = harness.medians_ms(calls, runs=7, warm_up=1)
        harness.table([f"90 days of {steps:,} steps", "ms", f"with {waiting:,} new ones, ms"], [[name, before[name], after[name]] for name in calls])


def main():
    connection = harness.database(NAME)
    if not os.environ.get("BENCH_ONLY_METRICS"):
        compare(connection)
        measure(connection)
    measure_writing(connection)
    measure_repricing(connection)
    measure_recording(connection)
    measure_metrics(connection)


main()
