"""The fixture that starts real clusters in tests of users."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import wallaroo
from wallaroo.errors import ClusterError, ConfigError
from wallaroo.testing import TestSink, TestSource

if TYPE_CHECKING:
    from wallaroo_pytest import ClusterStarter

pytestmark = pytest.mark.cluster
pytest_plugins = ["wallaroo_pytest"]

ROOT = Path(__file__).parents[2]


class Count:
    def __init__(self) -> None:
        self.value = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    if payload == b"?":
        raise ValueError("not a word")
    return payload.decode()


@wallaroo.encoder
def encode(counted: tuple[str, int]) -> str:
    return f"{counted}\n"


@wallaroo.partition
def itself(word: str) -> str:
    return word


@wallaroo.state_computation("count")
def count(word: str, state: Count) -> tuple[tuple[str, int], bool]:
    state.value += 1
    return (word, state.value), True


def application(source: Any = None, sink: Any = None) -> wallaroo.Application:
    return (
        wallaroo.ApplicationBuilder("words")
        .new_pipeline("words", source or wallaroo.TCPSourceConfig("127.0.0.1", 0, decode))
        .to_state_partition(count, Count, "counts", itself)
        .to_sink(sink or wallaroo.TCPSinkConfig("127.0.0.1", 1, encode, name="results"))
        .build()
    )


def test_a_cluster_loses_no_record_with_its_worker(
    wallaroo_cluster: "ClusterStarter", tmp_path: Path
) -> None:
    cluster = wallaroo_cluster(application(), resilience_dir=tmp_path / "checkpoints")
    words = [f"word {number % 10}" for number in range(100)]
    cluster.send("words", words[:50])
    cluster.kill("w2")
    cluster.send("words", words[50:])
    assert cluster.get("counts", "word 3", equals={"value": 10}) == {"value": 10}
    result = cluster.stop()
    assert result.record_count == 100
    assert {*cluster.outputs()} == {
        (f"word {number}", count) for number in range(10) for count in range(1, 11)
    }


def test_a_cluster_grows_and_shrinks(wallaroo_cluster: "ClusterStarter") -> None:
    cluster = wallaroo_cluster(application(), workers=1)
    cluster.send("words", [b"a", "b", "a"])
    assert [*cluster.workers] == ["w1"]
    cluster.grow(1)
    assert [*cluster.workers] == ["w1", "w2"]
    cluster.send("words", ["a"])
    assert ("a", 3) in cluster.outputs("results", count=4)
    cluster.shrink(1)
    assert [each["name"] for each in cluster.status()["workers"]] == ["w1"]
    assert cluster.stop().failures == ()
    assert cluster.stop().record_count == 4


def test_several_clusters_may_run_at_a_time(wallaroo_cluster: "ClusterStarter") -> None:
    one, two = (wallaroo_cluster(application(), workers=each) for each in (0, 1))
    one.send("words", ["a", "?"])
    two.send("words", ["a", "a"])
    result = one.stop()
    assert [each.payload for each in result.failures] == [b"?"]
    two.stop()
    assert (one.outputs(), two.outputs()) == ([("a", 1)], [("a", 1), ("a", 2)])


def test_an_application_with_an_end_needs_no_senders(wallaroo_cluster: "ClusterStarter") -> None:
    sink = TestSink()
    cluster = wallaroo_cluster(application(TestSource(["a", "a"]), sink))
    assert cluster.outputs(count=2) == sink.records == [("a", 1), ("a", 2)]
    assert cluster.stop().record_count == 2


def test_mistakes_are_told(wallaroo_cluster: "ClusterStarter") -> None:
    cluster = wallaroo_cluster(application(), workers=0)
    with pytest.raises(ConfigError) as raised:
        cluster.send("word", ["a"])
    assert raised.value.hint.startswith("did you mean 'words'?")
    with pytest.raises(ConfigError, match="there is no worker 'w7'"):
        cluster.kill("w7")
    with pytest.raises(ConfigError, match="in the process of the test"):
        cluster.kill("w1")
    with pytest.raises(ConfigError, match="no sink is named 'result'"):
        cluster.outputs("result")
    with pytest.raises(ClusterError, match="checkpoints are off"):
        cluster.checkpoint()
    wrong: Any = {"wokers": 2}  # codespell:ignore
    with pytest.raises(ConfigError, match="there is no keyword"):
        wallaroo_cluster(application(), **wrong)


def test_a_source_that_does_not_listen_cannot_be_sent_to(
    wallaroo_cluster: "ClusterStarter",
) -> None:
    cluster = wallaroo_cluster(application(TestSource(["a"])), workers=0)
    with pytest.raises(ConfigError, match="'words' does not listen"):
        cluster.send("words", ["a"])


SUITE = """
import sys

def test_nothing_of_wallaroo_is_imported():
    assert not [name for name in sys.modules if name.split(".")[0] in ("wallaroo", "structlog")]

def test_with_a_cluster(wallaroo_cluster):
    from tests.cluster.test_pytest_fixture import application
    cluster = wallaroo_cluster(application(), workers=1)
    cluster.send("words", ["a"])
    cluster.stop()
    assert cluster.outputs() == [("a", 1)]

def test_that_leaves_its_cluster(wallaroo_cluster):
    from tests.cluster.test_pytest_fixture import application
    wallaroo_cluster(application(), workers=1)

def test_whose_cluster_ends_by_itself(wallaroo_cluster):
    from tests.cluster.test_pytest_fixture import application
    from wallaroo.testing import TestSource
    cluster = wallaroo_cluster(application(TestSource([[]])), workers=1)
    cluster._thread.result.exception()
"""


def test_a_suite_of_a_user_runs_in_several_processes(tmp_path: Path) -> None:
    (tmp_path / "test_of_a_user.py").write_text(SUITE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "workers")])}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "wallaroo_pytest"]
    ended = subprocess.run(
        [*command, "-p", "no:cacheprovider", "test_of_a_user.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "4 passed" in ended.stdout, ended.stdout
    assert "1 error" in ended.stdout
    assert "every record of pipeline 'words' failed" in ended.stdout


def test_pytest_finds_the_fixture_by_the_name_of_its_module() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"wallaroo_pytest": "wallaroo_pytest"}
