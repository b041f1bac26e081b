"""Real clusters, asked and steered by ``wallaroo-cluster`` while they run."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.cluster.durable import kill_initializer, payloads_of, totals_of
from tests.cluster.harness import (
    COMMANDS,
    WAIT_S,
    Cluster,
    Receiver,
    framed,
    is_gone,
    running,
    send_bytes,
    wait_until,
)
from wallaroo.wire.requests import NO_EPOCH, Request
from wallaroo_cli.cluster import main
from wallaroo_workers.control_link import ControlLink
from wallaroo_workers.network.frames import split_address
from wallaroo_workers.run_file import living_runs

pytestmark = pytest.mark.cluster

KEY_COUNT = 40
RECORD_COUNT = 400


class Asked:
    """A cluster, and the command in its folder."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def ask(self, *arguments: str) -> Result:
        """Run the command in this process, which takes a fraction of the time of one of its own."""
        with contextlib.chdir(self.cluster.folder):
            return CliRunner().invoke(main, arguments, catch_exceptions=False)

    def json(self, *arguments: str) -> Any:
        ended = self.ask(*arguments, "--json")
        assert ended.exit_code == 0, ended.stderr
        return json.loads(ended.stdout)

    def refused(self, *arguments: str, status: int) -> str:
        ended = self.ask(*arguments)
        assert ended.exit_code == status, ended.stderr
        assert ended.stdout == ""
        return ended.stderr

    def key_count(self) -> int:
        return int(self.json("keys")["states"][0]["keys"])

    def send(self, count: int = RECORD_COUNT) -> None:
        """Send records, and wait until all of their keys are there."""
        port = self.cluster.source_port()
        send_bytes(port, framed(*payloads_of("k", range(count), KEY_COUNT)))
        wait_until(
            "the records are taken", lambda: self.json("status")["totals"]["records"] >= count
        )
        wait_until("the keys are there", lambda: self.key_count() == KEY_COUNT)


def started(folder: Path, *options: str) -> Iterator[Asked]:
    receiver = Receiver()
    addresses = ["--in", "127.0.0.1:0", "--out", receiver.address]
    with running(folder, "counts", *addresses, *options) as cluster:
        cluster.wait_ready()
        yield Asked(cluster)
    receiver.close()


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """Two workers with checkpoints, 400 records of 40 keys; questions leave it as it is."""
    folder = tmp_path_factory.mktemp("asked")
    for each in started(folder, "--workers", "2", "--resilience-dir", "state"):
        each.send()
        yield each
        assert each.cluster.stop() == 0
        assert not (folder / ".wallaroo").exists()


# Looking


def test_status_says_what_the_ready_file_says(asked: Asked) -> None:
    assert asked.json("checkpoint")["keys"] == KEY_COUNT
    status, ready = asked.json("status"), asked.cluster.ready()
    workers = [{"name": each["name"], "pid": each["pid"]} for each in status["workers"]]
    assert workers == ready["workers"]
    assert [each["state"] for each in status["workers"]] == ["running", "running"]
    assert all(each["address"].startswith("127.0.0.1:") for each in status["workers"])
    assert (status["application"], status["phase"], status["control"]) == (
        "counts", "running", ready["control"],
    )  # fmt: skip
    assert status["pid"] == asked.cluster.process.pid
    assert status["totals"]["records"] == RECORD_COUNT
    assert status["last_checkpoint"]["keys"] == KEY_COUNT
    text = asked.ask("status").stdout
    assert text.startswith("counts: running, 2 workers, epoch 1, ")
    assert f" {RECORD_COUNT} " in text


def test_partitions_are_shared_out(asked: Asked) -> None:
    (state,) = asked.json("partitions")["states"]
    assert state["by_worker"] == {"w1": 512, "w2": 512}
    shown = asked.ask("partitions", "totals").stdout.split()
    assert shown[-6:] == ["w1", "512", "w2", "512", "total", "1,024"]


def test_keys_are_counted_and_listed_on_one_worker_or_all(asked: Asked) -> None:
    expected = set(totals_of("k", RECORD_COUNT, KEY_COUNT))
    listed = asked.json("keys", "totals", "--all")
    assert {each["key"] for each in listed["keys"]} == expected
    assert listed["is_whole"]
    of_w1 = asked.json("keys", "totals", "--list", "--worker", "w1")["keys"]
    counts = asked.json("keys", "totals")["states"][0]["by_worker"]
    assert len(of_w1) == counts["w1"]
    assert counts["w1"] + counts["w2"] == len(expected)
    few = asked.ask("keys", "totals", "--list", "--limit", "3")
    assert len(few.stdout.splitlines()) == 3
    assert "The first 3" in few.stderr


def test_an_object_is_shown_as_text_and_as_json(asked: Asked) -> None:
    total = totals_of("k", RECORD_COUNT, KEY_COUNT)["k.7"]
    found = asked.json("get", "totals", "k.7")
    assert found["value"] == {
        "count": total.record_count, "sum": total.sum, "squares": total.squares,
    }  # fmt: skip
    assert (found["type"], found["key_type"]) == ("Counter", "str")
    assert asked.ask("get", "totals", "k.7").stdout == f"{found['text']}\n"
    assert "has no key 'k.99'" in asked.refused("get", "totals", "k.99", status=1)
    assert "has no key '7' of the type int" in asked.refused(
        "get", "totals", "7", "--type", "int", status=1
    )
    assert "no state 'totls'" in asked.refused("get", "totls", "k.7", status=2)


def test_a_checkpoint_is_taken_when_it_is_asked_for(asked: Asked) -> None:
    first, second = asked.json("checkpoint"), asked.json("checkpoint")
    assert second["number"] > first["number"]
    assert (second["keys"], second["written_keys"]) == (KEY_COUNT, 0)
    assert " committed: 40 keys, " in asked.ask("checkpoint").stdout


def test_the_level_of_the_log_changes_in_all_processes(asked: Asked) -> None:
    assert asked.json("logs", "--level", "debug") == {"level": "debug", "problems": {}}
    asked.send(KEY_COUNT)
    lines = asked.json("logs", "--limit", "200")["lines"]
    debug = {line["process"] for line in lines if line["level"] == "debug"}
    assert debug & {"w1", "w2"}
    assert {"initializer", "w1", "w2"} <= {line["process"] for line in lines}
    assert asked.ask("logs", "--level", "info").exit_code == 0
    assert "application.ready" in asked.ask("logs", "--limit", "200").stdout


def test_several_ask_at_once(asked: Asked) -> None:
    commands = (["status"], ["checkpoint"], ["checkpoint"], ["keys", "totals", "--all"])
    asking = [
        subprocess.Popen(
            [str(COMMANDS / "wallaroo-cluster"), *command, "--json"],
            cwd=asked.cluster.folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        for command in commands
    ]
    status, first, second, keys = (
        json.loads(each.communicate(timeout=WAIT_S)[0]) for each in asking
    )
    assert [each.returncode for each in asking] == [0, 0, 0, 0]
    assert status["phase"] == "running"
    assert min(first["number"], second["number"]) > 0
    assert len(keys["keys"]) == KEY_COUNT


def test_a_worker_that_hangs_does_not_hide_the_others(asked: Asked) -> None:
    pid = asked.cluster.pid("w2")
    os.kill(pid, signal.SIGSTOP)
    try:
        status = asked.json("status", "--timeout", "3")
        keys = asked.ask("keys", "--timeout", "3")
    finally:
        os.kill(pid, signal.SIGCONT)
    first, second = status["workers"]
    assert (first["state"], second["state"]) == ("running", "not answering")
    assert second["problem"] == "worker w2 did not answer in 3 s"
    assert keys.exit_code == 1
    assert "did not answer in 3 s" in keys.stderr
    assert asked.json("status")["workers"][1]["state"] == "running"


# Who may ask


def test_the_address_and_the_secret_lead_there_from_elsewhere(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = asked.cluster.ready()["control"]
    assert asked.ask("status", "--cluster", control).exit_code == 0
    monkeypatch.setenv("WALLAROO_SECRET", "not the secret of this run")
    said = asked.refused("status", "--cluster", control, status=1)
    assert "has another secret" in said
    monkeypatch.delenv("WALLAROO_SECRET", raising=False)
    with contextlib.chdir(tmp_path):
        assert CliRunner().invoke(main, ["status"]).exit_code == 3
        assert CliRunner().invoke(main, ["status", "--cluster", control]).exit_code == 2


async def test_a_client_that_speaks_nonsense_costs_nobody_anything(asked: Asked) -> None:
    (run,) = living_runs(asked.cluster.folder)
    host, port = split_address(run["control"])
    lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    link = ControlLink(bytes.fromhex(run["secret"]))
    await link.dial(host, port, lambda _: None, lost.set_result)
    link.send(Request(NO_EPOCH, 1, "status", "nonsense"))
    await asyncio.wait_for(lost, WAIT_S)
    refused = await asyncio.to_thread(asked.cluster.wait_event, "client.rejected")
    assert "are not JSON" in refused["reason"]
    assert asked.cluster.events("worker.lost") == []
    assert (await asyncio.to_thread(asked.json, "status"))["phase"] == "running"


# Membership


def test_a_cluster_grows_and_shrinks_while_it_runs(tmp_path: Path) -> None:
    for asked in started(tmp_path, "--workers", "2", "--resilience-dir", "state"):
        asked.send()
        grown = asked.json("grow", "--workers", "2")
        assert (grown["added"], grown["left"]) == (["w3", "w4"], [])
        assert grown["workers"] == ["w1", "w2", "w3", "w4"]
        assert grown["moved_partitions"] == {"totals": 512}
        (state,) = asked.json("partitions")["states"]
        assert set(state["by_worker"].values()) == {256}
        assert asked.key_count() == KEY_COUNT
        assert "one at least has to stay" in asked.refused("shrink", "--workers", "4", status=1)
        assert "no worker w9" in asked.refused("shrink", "--names", "w9", status=2)
        shrunk = asked.ask("shrink", "--names", "w1,w3")
        assert shrunk.exit_code == 0, shrunk.stderr
        assert shrunk.stdout.startswith("w1, w3 left: 2 workers now, epoch ")
        assert [each["name"] for each in asked.json("status")["workers"]] == ["w2", "w4"]
        for key, total in totals_of("k", RECORD_COUNT, KEY_COUNT).items():
            found = asked.json("get", "totals", key)
            assert found["value"]["sum"] == total.sum
            assert found["worker"] in ("w2", "w4")
        assert asked.json("grow", "--no-wait")["added"] == ["w5"]
        asked.cluster.wait_event("resize.completed")
        assert asked.json("stop")["record_count"] >= RECORD_COUNT


# Deletion


def test_a_deleted_key_stays_deleted_if_all_processes_are_killed(tmp_path: Path) -> None:
    for asked in started(tmp_path, "--workers", "2", "--resilience-dir", "state"):
        asked.send()
        answer = asked.json("delete", "totals", "k.1")
        assert answer["deleted"]
        assert answer["checkpoint"] == asked.json("status")["last_checkpoint"]["number"]
        assert "has no key 'k.1'" in asked.refused("delete", "totals", "k.1", status=1)
        assert "has no key 'k.1'" in asked.refused("get", "totals", "k.1", status=1)
        assert "there is no state 'total'" in asked.refused("delete", "total", "k.1", status=2)
        text = asked.ask("delete", "totals", "k.2").stdout
        assert text.startswith("deleted key k.2 of state totals on w")
        assert text.endswith(" holds that\n")
        kill_initializer(asked.cluster)
    for again in started(tmp_path, "--workers", "2", "--resilience-dir", "state"):
        assert again.key_count() == KEY_COUNT - 2
        assert "has no key 'k.1'" in again.refused("get", "totals", "k.1", status=1)
        # The next record of the key creates its state anew.
        again.send(KEY_COUNT)
        assert again.json("get", "totals", "k.1")["value"]["count"] == 1
        assert again.cluster.stop() == 0


# The end


def test_a_drained_cluster_can_be_looked_at_until_it_is_stopped(tmp_path: Path) -> None:
    for asked in started(tmp_path, "--workers", "2"):
        asked.send()
        assert "checkpoints are off" in asked.refused("checkpoint", status=1)
        assert "no state to discard" in asked.refused("stop", "--discard-state", "--yes", status=1)
        answer = asked.json("drain")
        assert (answer["record_count"], answer["failure_count"]) == (RECORD_COUNT, 0)
        status = asked.json("status")
        assert status["phase"] == "drained"
        assert asked.json("get", "totals", "k.1")["value"]["count"] == RECORD_COUNT // KEY_COUNT
        assert "the cluster is drained" in asked.refused("grow", status=1)
        pids = asked.cluster.pids()
        assert asked.json("stop")["stopped"]
        assert all(is_gone(pid) for pid in pids[1:])
        # The connection ended with the process; all that is left of it is its exit status.
        assert asked.cluster.wait_end() == 0
        asked.refused("status", status=3)


def test_a_stop_can_discard_what_the_run_has_kept(tmp_path: Path) -> None:
    for asked in started(tmp_path, "--workers", "2", "--resilience-dir", "state"):
        asked.send()
        assert "add --yes" in asked.refused("stop", "--discard-state", status=2)
        gone = asked.json("stop", "--discard-state", "--yes")["discarded"]
        assert gone["manifests"] > 0
        assert gone["parts"] > 0
        assert gone["journals"] == 2
        assert asked.cluster.wait_end() == 0
    assert [path for path in (tmp_path / "state").rglob("*") if path.is_file()] == []
    for again in started(tmp_path, "--workers", "2", "--resilience-dir", "state"):
        assert again.key_count() == 0
        # A killed run cannot remove its run file; the next command that looks removes it.
        again.cluster.process.kill()
        again.cluster.wait_end()
        again.refused("status", status=3)
        assert list((tmp_path / ".wallaroo").iterdir()) == []
