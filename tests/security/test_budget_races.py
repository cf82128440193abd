"""Budgets hold, whatever happens at the same moment."""

import itertools
import random
import threading
import time
from decimal import Decimal

import psycopg
import pytest

from crowds import EDITORS, OWNER, new_project, run, session, waits

RESERVE = "select matrice.reserve_budget(%s, %s::numeric)"
RECORD = ("insert into matrice.workflow_steps (run_id, step_name, status, cost_usd, reservation_id)"
          " values (%s, 'call', 'success', %s, %s)")


@pytest.fixture
def budget(matrice_database):
    """A project with a budget of $1."""
    database = matrice_database()
    database.rows("select matrice.register_model('tiny', 2)")
    with database.connect() as connection:
        database.project = new_project(connection)
    with session(database, OWNER) as owner:
        owner.execute("select matrice.set_budget(%s, 1)", [database.project])
        database.run = owner.execute("select matrice.start_run(%s, 'w', 'e')", [database.project]).fetchone()[0]
    return database


def status(database, name="default"):
    with session(database, OWNER) as owner:
        return owner.execute("select spent_usd, reserved_usd from matrice.budget_status(%s) where name = %s",
                             [database.project, name]).fetchone()


def test_64_clients_never_spend_more_than_the_budget(budget):
    """Each reserves, calls and records what it cost: at most the estimate. One is killed while it holds a reservation."""
    admitted, refused, most = itertools.count(), itertools.count(), []
    done = threading.Event()

    def client(number):
        rng = random.Random(number)
        with session(budget, EDITORS[number % len(EDITORS)]) as connection:
            while True:
                estimate = Decimal(rng.randint(1, 60)) / 1000
                try:
                    hold = connection.execute(RESERVE, [budget.project, estimate]).fetchone()[0]
                except psycopg.Error as error:
                    assert error.sqlstate == "PT402", error
                    next(refused)
                    return
                next(admitted)
                if rng.random() < 0.1:
                    connection.execute("select matrice.release_budget(%s)", [hold])
                else:
                    connection.execute(RECORD, [budget.run, estimate * rng.randint(50, 100) / 100, hold])

    def watch():
        with session(budget, OWNER) as owner:
            while not done.wait(0.01):
                most.append(sum(owner.execute("select spent_usd, reserved_usd from matrice.budget_status(%s)", [budget.project]).fetchone()))

    with session(budget, EDITORS[0]) as lost:
        lost.execute("select matrice.reserve_budget(%s, 0.2, valid_for => '1 minute')", [budget.project])
        budget.rows("select pg_terminate_backend(%s)", [lost.info.backend_pid])
        watcher = threading.Thread(target=watch)
        watcher.start()
        run(*(lambda number=number: client(number) for number in range(64)))
        done.set()
        watcher.join()
    ledger = budget.value("select sum(cost_usd) from matrice.workflow_steps")
    assert next(admitted) >= 20 and next(refused) == 64
    assert status(budget) == (ledger, Decimal("0.2"))
    assert Decimal("0.7") < ledger <= Decimal("0.8")
    assert max(most) <= 1 and len(most) > 10


def test_a_killed_client_gives_its_room_back_when_the_reservation_expires(budget):
    with session(budget, EDITORS[0]) as lost:
        lost.execute("select matrice.reserve_budget(%s, 0.9, valid_for => '2 seconds')", [budget.project])
        budget.rows("select pg_terminate_backend(%s)", [lost.info.backend_pid])
    with session(budget, EDITORS[1]) as other:
        with pytest.raises(psycopg.Error) as refused:
            other.execute(RESERVE, [budget.project, 0.5])
        assert refused.value.sqlstate == "PT402"
        time.sleep(2.1)
        other.execute(RESERVE, [budget.project, 0.5])
    assert status(budget) == (0, Decimal("0.5"))


def test_a_client_killed_within_its_transaction_has_reserved_nothing(budget):
    lost = session(budget, EDITORS[0], autocommit=False)
    lost.execute(RESERVE, [budget.project, 0.9])
    budget.rows("select pg_terminate_backend(%s)", [lost.info.backend_pid])
    with session(budget, EDITORS[1]) as other:
        other.execute(RESERVE, [budget.project, 0.9])


def test_reserve_budget_waits_for_another_that_has_not_committed(budget):
    first, second = session(budget, EDITORS[0], autocommit=False), session(budget, EDITORS[1])
    first.execute(RESERVE, [budget.project, 0.6])
    outcome = []

    def reserve():
        try:
            second.execute(RESERVE, [budget.project, 0.6])
            outcome.append("done")
        except psycopg.Error as error:
            outcome.append(error.sqlstate)

    waiting = threading.Thread(target=reserve)
    waiting.start()
    assert waits(budget, waiting)
    first.commit()
    waiting.join(30)
    assert outcome == ["PT402"]
    first.close(), second.close()


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_reserve_budget_refuses_to_work_with_an_old_snapshot(budget, level):
    with session(budget, EDITORS[0], autocommit=False) as old:
        old.execute("set transaction isolation level " + level)
        with pytest.raises(psycopg.Error) as refused:
            old.execute(RESERVE, [budget.project, 0.1])
        assert refused.value.sqlstate == "0A000"


@pytest.mark.parametrize("level", ["read committed", "repeatable read"])
def test_recording_waits_for_nobody_and_is_never_refused(budget, level):
    """Neither for other writers nor for an admission, and not when the budget is exhausted."""
    reserving = session(budget, EDITORS[0], autocommit=False)
    reserving.execute(RESERVE, [budget.project, 0.1])
    writers = [session(budget, EDITORS[1], autocommit=False) for _ in range(3)]
    for writer in writers:
        writer.execute("set transaction isolation level " + level)
        writer.execute("select set_config('lock_timeout', '2s', true)")
        writer.execute(RECORD, [budget.run, 0.25, None])
    for writer in writers:
        writer.commit()
        writer.close()
    reserving.commit()
    reserving.close()
    assert status(budget) == (Decimal("0.75"), Decimal("0.1"))
    with session(budget, EDITORS[1]) as writer:
        writer.execute(RECORD, [budget.run, 25, None])
    assert status(budget) == (Decimal("25.75"), Decimal("0.1"))


def test_set_budget_counts_a_step_that_is_recorded_at_the_same_time_once(budget):
    """Whether its transaction knows the new budget or not."""
    before = session(budget, EDITORS[0], autocommit=False)
    before.execute(RECORD, [budget.run, 0.1, None])
    owner = session(budget, OWNER)
    setting = threading.Thread(target=owner.execute, args=("select matrice.set_budget(%s, 5, name => 'new')", [budget.project]))
    setting.start()
    assert waits(budget, setting)
    after = session(budget, EDITORS[1])
    recording = threading.Thread(target=after.execute, args=(RECORD, [budget.run, 0.2, None]))
    recording.start()
    time.sleep(0.2)
    before.commit()
    setting.join(30), recording.join(30)
    assert status(budget, "new") == status(budget) == (Decimal("0.3"), 0)
    before.close(), owner.close(), after.close()


def test_thresholds_are_notified_once_by_many_writers(budget):
    listener = budget.connect()
    listener.execute("listen matrice_budget")

    def writer():
        with session(budget, EDITORS[0]) as connection:
            for _ in range(20):
                connection.execute(RECORD, [budget.run, 0.02, None])

    run(*[writer] * 8)
    told = [note.payload for note in listener.notifies(timeout=2)]
    assert len(told) == 2 and all(budget.project.hex[:8] in payload for payload in told)
    assert budget.rows("select threshold from matrice.budget_events order by 1") == [(Decimal("0.8"),), (Decimal(1),)]
    assert status(budget)[0] == Decimal("3.2")
    assert budget.value("select count(*) from matrice_private.budget_spending") < 160
    listener.close()


def test_budgets_survive_a_deletion_of_the_project_while_others_record(budget):
    def writer():
        with session(budget, EDITORS[0]) as connection:
            for _ in range(20):
                try:
                    connection.execute(RECORD, [budget.run, 0.02, None])
                    connection.execute(RESERVE, [budget.project, 0])
                except psycopg.Error as error:
                    assert error.sqlstate in ("PT402", "PT404", "42501", "23503", "23502"), error

    def delete():
        with session(budget, OWNER) as owner:
            owner.execute("delete from matrice.projects where id = %s", [budget.project])

    run(*[writer] * 4, delete)
    assert budget.value("select count(*) from matrice.budgets") == 0


@pytest.mark.parametrize("step", [
    "insert into matrice.workflow_steps (run_id, step_name, status, cost_usd) values (%(run)s, 'call', 'success', 0.5)",
    "select matrice.record_step(%(run)s, 'call', 'success', step_key => 'live', cost_usd => 0.5)"], ids=["new", "ended"])
def test_a_run_that_moves_takes_along_what_is_spent_at_the_same_moment(budget, step):
    """While an owner sets a budget, too: nobody waits in a circle."""
    with session(budget, OWNER) as owner:
        for phase in ("P1", "P2"):
            owner.execute("select matrice.set_budget(%s, 1, name => %s, phase => %s)", [budget.project, phase, phase])
        owner.execute("update matrice.workflow_runs set phase = 'P1' where id = %s", [budget.run])
        owner.execute("select matrice.record_step(%s, 'call', 'running', step_key => 'live')", [budget.run])
    spender, mover, setter = session(budget, EDITORS[0], autocommit=False), session(budget, EDITORS[1]), session(budget, OWNER)
    spender.execute(step, {"run": budget.run})
    move = threading.Thread(target=mover.execute, args=["update matrice.workflow_runs set phase = 'P2' where id = %s", [budget.run]])
    put = threading.Thread(target=setter.execute, args=["select matrice.set_budget(%s, 2)", [budget.project]])
    move.start()
    assert waits(budget, move)
    put.start()
    spender.commit()
    move.join(30), put.join(30)
    assert status(budget, "P1") == (0, 0)
    assert status(budget, "P2") == (Decimal("0.5"), 0)
    assert status(budget) == (Decimal("0.5"), 0)
    spender.close(), mover.close(), setter.close()
