"""``wallaroo-dead-letters replay``: each letter arrives once, whatever interrupts it."""

import json
import signal
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.cli.letters.kept import TakingSource, failure, invoke, json_of, keep
from tests.workers.full_disk import full_from
from wallaroo_cli import dead_letters
from wallaroo_cli.letters import replay as replaying
from wallaroo_cli.letters.marks import MarkWriter
from wallaroo_cli.letters.replay import Source
from wallaroo_cli.tools.addresses import Address
from wallaroo_cli.tools.running_clusters import Target


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[TakingSource]:
    with TakingSource() as source:
        answer_with(monkeypatch, source.address)
        yield source


def answer_with(monkeypatch: pytest.MonkeyPatch, address: str, header: str | None = ">I") -> None:
    """Let a cluster answer that its pipeline ``votes`` listens there, and ``file`` reads a file."""
    votes = {"pipeline": "votes", "describes": f"tcp source at {address}", "address": address}
    file = {"pipeline": "file", "describes": "file source in.txt", "address": ""}
    answer = {
        "sources": [
            votes | {"kind": "tcp", "header": header},
            file | {"kind": "other", "header": None},
        ]
    }
    target = Target(Address("127.0.0.1", 1), b"")

    def target_of(options: dict[str, Any]) -> Target:
        for name in ("address", "secret_file", "tls_cert", "tls_key", "tls_ca"):
            del options[name]
        return target

    monkeypatch.setattr(dead_letters, "target_of", target_of)
    monkeypatch.setattr(dead_letters, "ask", lambda *_: answer)


def replay(folder: Path, *arguments: str) -> Result:
    return invoke(folder, "replay", "--yes", *arguments)


def frames(*numbers: int) -> bytes:
    payloads = [b"payload %d" % number for number in numbers]
    return b"".join(struct.pack(">I", len(payload)) + payload for payload in payloads)


def states(folder: Path) -> list[str]:
    return [letter["replayed"] for letter in json_of(folder, "list")]


def test_chosen_letters_are_sent_once(tmp_path: Path, source: TakingSource) -> None:
    keep(tmp_path, [failure(number) for number in range(1, 5)])
    done = replay(tmp_path, "app-w1:2-3")
    assert (done.exit_code, done.stdout) == (0, "sent 2 letters again\n")
    assert source.received == [frames(2, 3)]
    assert states(tmp_path) == ["no", "replayed", "replayed", "no"]
    again = json.loads(replay(tmp_path, "--step", "add", "--json").stdout)
    assert again["sent"] == ["app-w1:1", "app-w1:4"]
    assert again["replayed_before"] == ["app-w1:2", "app-w1:3"]
    assert source.received == [frames(2, 3), frames(1, 4)]


def test_equal_letters_are_sent_as_often_as_they_are_there(
    tmp_path: Path, source: TakingSource
) -> None:
    keep(tmp_path, [failure(1)])
    path = tmp_path / "app-w1.jsonl"
    path.write_bytes(path.read_bytes() * 3)
    replay(tmp_path, "2")
    assert states(tmp_path).count("replayed") == 1
    replay(tmp_path, "--all")
    replay(tmp_path, "--all")
    assert b"".join(source.received) == frames(1, 1, 1)


def test_a_letter_is_known_when_its_file_is_moved_and_lines_are_removed(
    tmp_path: Path, source: TakingSource
) -> None:
    keep(tmp_path, [failure(1), failure(2)])
    replay(tmp_path, "2")
    path = tmp_path / "app-w1.jsonl"
    (tmp_path / "moved.jsonl").write_bytes(path.read_bytes().splitlines(keepends=True)[1])
    path.unlink()
    assert states(tmp_path) == ["replayed"]
    keep(tmp_path, [failure(3)])  # a new file of the same name, whose lines count from 1 again
    replay(tmp_path, "--all")
    assert source.received == [frames(2), frames(3)]


def test_a_connection_that_breaks_leaves_its_batch_unsure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "BATCH_LETTERS", 2)
    keep(tmp_path, [failure(number) for number in range(1, 7)])
    with TakingSource(fails_from=1) as source:
        answer_with(monkeypatch, source.address)
        broken = replay(tmp_path, "--all")
    assert broken.exit_code == 1
    assert "app-w1:3 to app-w1:4" in broken.stderr
    assert broken.stdout == "sent 2 letters again\n"
    assert states(tmp_path) == ["replayed", "replayed", "unsure", "unsure", "no", "no"]
    with TakingSource() as source:
        answer_with(monkeypatch, source.address)
        rest = replay(tmp_path, "--all")
        assert "left out 2 letters that may have arrived" in rest.stdout
        assert source.received == [frames(5, 6)]
        replay(tmp_path, "--all", "--unsure")
        assert source.received == [frames(5, 6), frames(3, 4)]
    assert states(tmp_path) == ["replayed"] * 6


def test_a_kill_between_sending_and_marking_leaves_letters_unsure(
    tmp_path: Path, source: TakingSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, [failure(1)])
    note = MarkWriter.note

    def killed(self: MarkWriter, kind: Any, letters: Any) -> None:
        if kind == "sent":
            raise SystemExit(137)
        note(self, kind, letters)

    with monkeypatch.context() as patched:
        patched.setattr(MarkWriter, "note", killed)
        assert replay(tmp_path, "--all").exit_code == 137
    assert source.received == [frames(1)]
    assert states(tmp_path) == ["unsure"]
    replay(tmp_path, "--all")
    assert source.received == [frames(1)]


def test_half_a_mark_means_that_nothing_was_sent(tmp_path: Path, source: TakingSource) -> None:
    keep(tmp_path, [failure(1)])
    (tmp_path / "replayed").write_bytes(b'{"time": "2026-11-22T04:18", "kind": "sending", "let')
    assert states(tmp_path) == ["no"]
    replay(tmp_path, "--all")
    assert states(tmp_path) == ["replayed"]
    assert source.received == [frames(1)]


def test_nothing_is_sent_that_cannot_be_marked(tmp_path: Path, source: TakingSource) -> None:
    keep(tmp_path, [failure(1)])
    with full_from(10):
        refused = replay(tmp_path, "--all")
    assert refused.exit_code == 1
    assert "cannot note in" in refused.stderr
    assert source.received == []
    assert states(tmp_path) == ["no"]


def test_letters_that_could_not_be_sent_are_not_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TakingSource() as source:
        answer_with(monkeypatch, source.address)
    keep(tmp_path, [failure(1)])
    refused = replay(tmp_path, "--all")
    assert refused.exit_code == 1
    assert "cannot connect to the source" in refused.stderr
    assert states(tmp_path) == ["no"]


def test_only_one_replay_works_on_a_folder_at_a_time(tmp_path: Path, source: TakingSource) -> None:
    keep(tmp_path, [failure(1)])
    other = MarkWriter(tmp_path)
    refused = replay(tmp_path, "--all")
    other.close()
    assert refused.exit_code == 1
    assert "another `replay`" in refused.stderr
    assert source.received == []


def test_a_reason_is_said_once_for_all_letters_that_it_refuses(
    tmp_path: Path, source: TakingSource
) -> None:
    others = [failure(number, pipeline="file") for number in range(1, 1_201)]
    keep(tmp_path, [*others, failure(1_201), failure(1_202, pipeline="gone")])
    refused = replay(tmp_path, "--all")
    several, single = refused.stderr.splitlines()
    assert several.startswith("refused 1,200 letters, the first app-w1:1: pipeline 'file' reads ")
    assert single == "refused app-w1:1202: the cluster has no pipeline 'gone'"
    assert [*json.loads(replay(tmp_path, "--all", "--json").stdout)["refused"]] == [
        *(f"app-w1:{number}" for number in range(1, 1_201)),
        "app-w1:1202",
    ]


def test_letters_of_other_sources_are_refused_with_a_sentence(
    tmp_path: Path, source: TakingSource
) -> None:
    keep(
        tmp_path,
        [failure(1), failure(2, pipeline="file"), failure(3, payload=None),
         failure(4, pipeline="gone")],
    )  # fmt: skip
    done = replay(tmp_path, "--all")
    assert done.exit_code == 1
    assert source.received == [frames(1)]
    refusals = done.stderr.splitlines()
    assert "app-w1:2: pipeline 'file' reads from a file source in.txt" in refusals[0]
    assert "app-w1:3: it has no payload" in refusals[1]
    assert "app-w1:4: the cluster has no pipeline 'gone'" in refusals[2]
    assert states(tmp_path) == ["replayed", "no", "no", "no"]


def test_something_has_to_be_chosen(tmp_path: Path, source: TakingSource) -> None:
    keep(tmp_path, [failure(1)])
    for arguments in ([], ["--all", "--step", "add"]):
        assert replay(tmp_path, *arguments).exit_code == 2
    assert source.received == []


def test_a_mistaken_name_sends_nothing(tmp_path: Path, source: TakingSource) -> None:
    keep(tmp_path, [failure(1)])
    assert replay(tmp_path, "1", "app-w1:7").exit_code == 2
    assert source.received == []


def test_it_is_asked_before_anything_is_sent(tmp_path: Path, source: TakingSource) -> None:
    keep(tmp_path, [failure(1)])
    assert invoke(tmp_path, "replay", "--all", answer="n\n").exit_code == 1
    assert source.received == []
    assert invoke(tmp_path, "replay", "--all", answer="y\n").exit_code == 0
    assert source.received == [frames(1)]


def test_ctrl_c_ends_it_after_the_batch_that_is_on_its_way(
    tmp_path: Path, source: TakingSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "BATCH_LETTERS", 1)
    keep(tmp_path, [failure(1), failure(2)])
    note = MarkWriter.note

    def interrupted(self: MarkWriter, kind: Any, letters: Any) -> None:
        note(self, kind, letters)
        if kind == "sending":
            assert threading.current_thread() is threading.main_thread()
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(MarkWriter, "note", interrupted)
    ended = replay(tmp_path, "--all")
    assert ended.exit_code == 130
    assert states(tmp_path) == ["replayed", "no"]
    assert source.received == [frames(1)]


@pytest.mark.parametrize(
    ("header", "payload", "frame"),
    [
        (">I", b"abc", b"\0\0\0\3abc"),
        ("<H", b"abc", b"\3\0abc"),
        (">I", b"", b"\0\0\0\0"),
        ("", b"abc", b"abc\n"),
        ("", b"abc\r", b"abc\r\r\n"),
        ("", b"", b"\n"),
    ],
)
def test_payloads_are_framed_as_the_source_reads_them(
    header: str, payload: bytes, frame: bytes
) -> None:
    assert Source("p", "tcp source", "h:1", "tcp", header).frame(payload) == frame


@pytest.mark.parametrize(
    ("header", "payload", "said"),
    [
        (None, b"abc", "a function of the application reads the headers"),
        ("", b"a\nb", "has a line end in it"),
        ("B", bytes(256), "longer than a header 'B' of pipeline 'p' can say"),
    ],
)
def test_a_payload_that_cannot_be_framed_is_refused(
    header: str | None, payload: bytes, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Source("p", "tcp source", "h:1", "tcp", header).frame(payload)


def test_a_payload_of_several_sources_is_sent_to_none() -> None:
    with pytest.raises(ValueError, match="does not say from which"):
        Source("both", "the sources of pipelines 'a', 'b'", "", "several", None).frame(b"x")
