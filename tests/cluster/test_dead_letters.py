"""Records that failed are looked at and sent again to a running cluster, once."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.cluster.harness import Receiver, framed, running, send_bytes, wait_until
from wallaroo_cli.dead_letters import main

pytestmark = pytest.mark.cluster


def invoke(folder: Path, control: str, command: str, *arguments: str) -> Result:
    line = [command, "--dead-letters", str(folder / "dead-letters"), *arguments]
    if command == "replay":
        line += ["--cluster", control, "--yes"]
    return CliRunner().invoke(main, line)


def letters(folder: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(invoke(folder, "", "list", "--json").stdout)
    return listed


def test_letters_are_sent_again_once_and_those_of_a_generator_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver()
    addresses = ["--in", "127.0.0.1:0", "--out", receiver.address]
    with running(tmp_path, "repairable", *addresses, "--workers", "2") as cluster:
        control = cluster.wait_ready()["control"]
        bad = [b"bad %d" % number for number in range(250)]
        send_bytes(cluster.source_port(), framed(b"good", *bad))
        kept = tmp_path / "dead-letters"
        wait_until("all are kept", lambda: kept.exists() and len(letters(tmp_path)) == 251)
        (tmp_path / "repaired").touch()
        monkeypatch.chdir(tmp_path)  # where the run file with the secret is
        first = invoke(tmp_path, control, "replay", "--all")
        assert first.exit_code == 1
        assert "sent 250 letters again" in first.stdout
        assert "only TCP sources take payloads again" in first.stderr
        wait_until("all lines are there", lambda: receiver.line_count() == 251)
        second = invoke(tmp_path, control, "replay", "--step", "check")
        assert (second.exit_code, second.stdout.splitlines()) == (
            0,
            ["sent 0 letters again", "left out 250 letters, sent again before"],
        )
        assert cluster.stop() == 4, "the one record of the generator has failed"
    assert receiver.lines().keys() == {b"good", *bad}
    assert receiver.line_count() == 251
    states = [letter["replayed"] for letter in letters(tmp_path)]
    assert (states.count("replayed"), states.count("no")) == (250, 1)
