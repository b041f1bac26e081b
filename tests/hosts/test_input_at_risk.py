"""Hosts whose disks alone would hold accepted input: a start on them is refused, or allowed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.seaweed import S3Server, running_server
from tests.hosts.test_joining import Site

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_server(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture
def store(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> list[str]:
    """Return the options of a run whose checkpoints are in a bucket."""
    server.use(monkeypatch)
    return ["--resilience-dir", f"s3://checkpoints/{request.node.name}"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.receiver.close()


HOSTS = ("--workers", "0", "--expect-workers", "1")
ELSEWHERE = ("--zone", "another rack")


def test_a_start_on_a_host_with_whose_disk_input_would_be_lost_is_refused(
    site: Site, store: list[str]
) -> None:
    with (
        site.initializer(*HOSTS, *store) as cluster,
        site.agent("far", *store, *ELSEWHERE) as agent,
    ):
        assert cluster.wait_end() == 2
        assert agent.wait_end() == 1
        for errors in (cluster.errors, agent.errors):
            assert "accepted input of 'keys' could be lost with host" in "\n".join(errors)
            assert "--journal-dir" in errors[-1]
            assert "--allow-lost-input" in errors[-1]


@pytest.mark.parametrize("remedy", ["--journal-dir", "--allow-lost-input", "the same machine"])
def test_it_starts_with_a_folder_of_journals_or_permission_or_on_the_same_machine(
    site: Site, store: list[str], remedy: str
) -> None:
    zone = () if remedy == "the same machine" else ELSEWHERE
    journals = site.folder / "shared journals"
    options = {"--journal-dir": [remedy, str(journals)], "--allow-lost-input": [remedy]}
    with (
        site.initializer(*HOSTS, *store, *options.get(remedy, [])) as cluster,
        site.agent("far", *store, *zone) as agent,
    ):
        cluster.wait_ready()
        # The agent's command line names no folder, so the initializer's counts.
        assert journals.is_dir() == (remedy == "--journal-dir")
        assert cluster.stop() == 0
        assert agent.wait_end() == 0
