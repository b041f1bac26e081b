"""The page about upgrading state shows what happens, from the first run to the last."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.harness import Cluster, running, send_file
from tests.docs.pages import page

pytestmark = pytest.mark.cluster

PAGE = page("upgrading-state.md")


@contextmanager
def started(folder: Path) -> Iterator[Cluster]:
    """Give the command of the page, with a free port."""
    command = next(PAGE.commands()).replace("127.0.0.1:7010", "127.0.0.1:0")
    module, *options = shlex.split(command)[2:]
    with running(folder, module, *options) as cluster:
        yield cluster


def sent(folder: Path, name: str) -> list[str]:
    """Run, send a file of the page, stop; return the lines that the output has after that."""
    (folder / name).write_text(PAGE.labelled(f"file: {name}"))
    with started(folder) as cluster:
        cluster.wait_ready()
        send_file(cluster.source_port(), folder / name)
        assert cluster.stop() == 0
        upgrades = cluster.events("state.upgrading")
    assert len(upgrades) == (name == "more.txt")
    return (folder / "times.txt").read_text().splitlines()


def test_the_example_gives_what_its_page_shows(tmp_path: Path) -> None:
    module = tmp_path / "times.py"
    first, second = (PAGE.labelled(f"file: times.py, {which}") for which in ("first", "second"))
    module.write_text(first)
    before = sent(tmp_path, "requests.txt")
    assert len(before) == 3
    assert "/cart 2 requests, 40 ms on average" in before

    changed_class = PAGE.blocks("python")[1].text
    _, mark, rest = first.partition("@wallaroo.decoder")
    module.write_text(f"import wallaroo\n\n\n{changed_class}\n\n{mark}{rest}")
    with started(tmp_path) as cluster:
        assert cluster.wait_end() == 1
        shown = PAGE.labelled("output: refusal").splitlines()
        assert list(map(without_numbers, cluster.errors)) == list(map(without_numbers, shown))

    module.write_text(second)
    added = sent(tmp_path, "more.txt")[len(before) :]
    assert sorted(added) == sorted(PAGE.labelled("output: times.txt").splitlines())
    with started(tmp_path) as cluster:
        cluster.wait_ready()
        assert cluster.stop() == 0
        assert not cluster.events("state.upgrading")


def without_numbers(line: str) -> str:
    return " ".join(word for word in line.split() if not word.rstrip(":").isdecimal())
