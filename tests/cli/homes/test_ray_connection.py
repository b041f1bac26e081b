"""How a command finds Ray, and what it says if it does not."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.homes.fake_ray import FakeRay, fake_ray
from wallaroo.errors import ConfigError
from wallaroo.statuses import ExitStatus
from wallaroo_cli.homes.ray_home.connection import NoRayError, connect, runtime_environment
from wallaroo_cli.homes.ray_home.node_questions import warn_of_letters
from wallaroo_cli.homes.ray_home.place import RayPlace
from wallaroo_workers.logs import new_lines


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    for name in ("RAY_ADDRESS", "RAY_JOB_CONFIG_JSON_ENV_VAR"):
        monkeypatch.delenv(name, raising=False)
    with fake_ray() as fake:
        yield fake


def test_without_the_package_the_remedy_is_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="cannot be imported") as raised:
        connect(RayPlace())
    assert "wallaroo-streams[ray]" in raised.value.hint


def test_a_ray_of_its_own_never_joins_another(ray: FakeRay) -> None:
    connect(RayPlace(is_new=True), runtime_env={"working_dir": "."}, cpus=70.5)
    [options] = ray.inits
    assert options["address"] == "local"
    assert options["num_cpus"] >= 71
    assert options["_node_ip_address"] == "127.0.0.1"
    assert "runtime_env" not in options


def test_the_code_is_sent_to_a_ray_that_is_there(ray: FakeRay) -> None:
    connect(RayPlace(), runtime_env={"working_dir": "."})
    assert ray.inits[0]["address"] == "auto"
    assert ray.inits[0]["runtime_env"] == {"working_dir": "."}


def test_a_job_on_ray_has_its_code_already(ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    connect(RayPlace(), runtime_env={"working_dir": "."})
    assert "runtime_env" not in ray.inits[0]


def test_an_address_at_which_nobody_listens_is_noticed_at_once(ray: FakeRay) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"ray://127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(NoRayError, match=f"there is no Ray at {address}") as raised:
            connect(RayPlace(address=address))
    assert "ray:new" in raised.value.hint
    assert raised.value.exit_code == ExitStatus.NO_CLUSTER
    assert ray.inits == []


def test_no_ray_on_this_machine(ray: FakeRay) -> None:
    ray.init_error = ConnectionError("Could not find any running Ray instance.")
    with pytest.raises(NoRayError, match="there is no Ray here: Could not find"):
        connect(RayPlace())


def test_another_release_on_the_nodes(ray: FakeRay) -> None:
    ray.init_error = RuntimeError("Version mismatch: The cluster was started with:\n Ray: 2.1")
    with pytest.raises(ConfigError, match=r"other releases than this machine: .* Ray: 2.1"):
        connect(RayPlace())


def test_the_folder_of_the_application_is_the_environment(tmp_path: Path) -> None:
    assert runtime_environment(None, "/app") == {"working_dir": "/app"}
    assert runtime_environment('{"pip": ["x"]}', "/app") == {"working_dir": "/app", "pip": ["x"]}
    assert runtime_environment('{"working_dir": null}', "/app") == {}
    file = tmp_path / "env.json"
    file.write_text(json.dumps({"working_dir": "/other"}))
    assert runtime_environment(str(file), "/app") == {"working_dir": "/other"}


@pytest.mark.parametrize("text", ["{", "no such file", "{} {}"])
def test_an_environment_that_is_not_json_is_a_mistake(text: str) -> None:
    with pytest.raises(ConfigError, match="--runtime-env cannot be read"):
        runtime_environment(text, "/app")


@pytest.mark.parametrize(("agent", "count"), [([], 1), (["--dead-letters=/mnt/letters"], 0)])
def test_dead_letters_in_the_copied_folder_are_warned_of(agent: list[str], count: int) -> None:
    new_lines()
    warn_of_letters(agent)
    assert [line["event"] for line in new_lines()] == ["dead_letters.temporary"] * count
