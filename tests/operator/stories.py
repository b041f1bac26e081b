"""What scripts of the original do beside playing sequences: crashes, exits, stops, leftovers."""

import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.cluster.harness import COMMANDS
from tests.operator.script import script
from wallaroo.wire.external import ExternalId


def a_crashed_worker_rejoins_without_its_state_where_resilience_is_off(folder: Path) -> None:
    with script(folder, "to_state_partition") as running:
        running.start(2)
        running.send(50)
        running.wait_all_out()
        crashed = running.worker("worker1")
        before = running.keys()["split-0"]
        crashed.kill()
        crashed.start()
        crashed.wait_line(re.escape(f"Restarting a listener at {crashed.value_of('--my-control')}"))
        running.wait_ready()
        after = running.keys()["split-0"]
        kept = {key: worker for key, worker in before.items() if worker == "initializer"}
        assert after == kept
        # The sender's connection has survived.
        running.send(50)
        running.wait_all_out()
        assert running.keys()["split-0"] == before
        running.stop()


def a_crashed_initializer_begins_anew_where_resilience_is_off(folder: Path) -> None:
    with script(folder, "to_parallel,to_state_partition") as running:
        running.start(2)
        running.send(50)
        running.wait_all_out()
        running.close_sender()
        crashed = running.workers[0]
        crashed.kill()
        crashed.start()
        crashed.wait_line(re.escape(f"Restarting a listener at {crashed.value_of('--control')}"))
        running.wait_ready()
        assert running.keys() == {}
        running.send(50)
        running.wait_all_out()
        assert len(running.keys()["split-1"]) == 10
        running.stop()


def what_a_cluster_that_was_killed_has_left_does_not_disturb_the_next(folder: Path) -> None:
    with script(folder, "to_stateful") as running:
        running.start(2)
        for worker in running.workers:
            worker.kill()
        assert len(list(running.files.iterdir())) == 3
    with script(folder, "to_stateful") as running:
        running.start(1)
        running.grow(1)
        running.send(10)
        running.wait_all_out()
        running.stop()


def without_a_folder_a_worker_joins_at_the_address_of_any_other(folder: Path) -> None:
    with script(folder, "to_state_partition", has_folder=False) as running:
        running.start(2)
        running.send(50)
        running.grow(1, by=running.worker("worker1").value_of("--my-control"))
        running.wait_all_out()
        running.stop()


def who_joins_with_another_number_than_those_who_wait_is_refused(folder: Path) -> None:
    with script(folder, "to_state_partition") as running:
        running.start(1)
        running.send(50)
        first, other, second = (running.new_joiner(count) for count in (2, 3, 2))
        first.start()
        first.wait_line("host.accepted")
        other.start()
        assert other.wait_end() == 1
        assert (
            "All joining workers must supply the same worker count. Current pending count is 2. "
            "You supplied 3."
        ) in other.text()
        running.workers.remove(other)
        # Meanwhile the others go on.
        running.wait_all_out()
        second.start()
        running.wait_ready()
        running.stop()


def exit_in_a_computation_ends_its_worker_with_that_status(folder: Path) -> None:
    with script(folder, "to") as running:
        running.start(1)
        running.send_word("exit")
        (worker,) = running.workers
        assert worker.wait_end() == 1


def a_clean_shutdown_at_any_worker_ends_all(folder: Path) -> None:
    with script(folder, "to_stateful", "--run-with-resilience") as running:
        running.start(2)
        running.send(10)
        command = [str(COMMANDS / "wallaroo-cluster"), "external", "clean-shutdown", "--external"]
        done = subprocess.run(
            [*command, running.worker("worker1").external], timeout=30, check=False
        )
        assert done.returncode == 0
        running.wait_stopped()
        assert len(running.lines_out) == 10


def a_clean_shutdown_before_all_have_come_ends_all(folder: Path, asked: str) -> None:
    with script(folder, "to_stateful", "--run-with-resilience") as running:
        running.start(3, missing=1)
        for worker in running.workers:
            worker.wait_line("external: listening")
            keys = worker.query(ExternalId.STATE_ENTITY_QUERY)
            assert all(names == [] for names in keys.values())
        running.worker("worker1").wait_line("host.accepted")
        running.worker(asked).ask(ExternalId.CLEAN_SHUTDOWN)
        running.wait_stopped()


def who_is_stopped_while_a_worker_is_away_stops(folder: Path) -> None:
    with script(folder, "to_stateful") as running:
        running.start(2)
        running.workers.pop().kill()
        running.workers[0].process.send_signal(signal.SIGTERM)
        assert running.workers[0].wait_end() == 0


def a_joined_worker_that_crashes_takes_its_place_by_its_old_line(folder: Path) -> None:
    with script(folder, "to_state_partition", "--run-with-resilience") as running:
        running.start(1)
        running.send(100)
        running.grow(1)
        before = running.keys()
        joined = running.worker("worker1")
        joined.kill()
        joined.start()
        joined.wait_line(r"RESILIENCE: Replayed [1-9]\d* entries from recovery log file\.")
        running.wait_ready()
        assert running.keys() == before
        running.stop()


def who_may_leave_is_told_by_every_worker(folder: Path) -> None:
    with script(folder, "to") as running:
        running.start(2)
        for worker in running.workers:
            answer = worker.ask(ExternalId.SHRINK_REQUEST, '{"query": true}')
            assert answer is not None
            assert answer.id is ExternalId.SHRINK_QUERY_RESPONSE
            assert answer.text == '{"node_names": ["worker1"], "node_count": 1}'
        running.stop()


STORIES: tuple[Callable[[Path], None], ...] = (
    a_crashed_worker_rejoins_without_its_state_where_resilience_is_off,
    a_crashed_initializer_begins_anew_where_resilience_is_off,
    what_a_cluster_that_was_killed_has_left_does_not_disturb_the_next,
    without_a_folder_a_worker_joins_at_the_address_of_any_other,
    who_joins_with_another_number_than_those_who_wait_is_refused,
    exit_in_a_computation_ends_its_worker_with_that_status,
    a_clean_shutdown_at_any_worker_ends_all,
    who_is_stopped_while_a_worker_is_away_stops,
    a_joined_worker_that_crashes_takes_its_place_by_its_old_line,
    who_may_leave_is_told_by_every_worker,
)
