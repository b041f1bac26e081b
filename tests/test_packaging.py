"""What is installed is exactly the packages of the checkout, and could be published."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from types import MappingProxyType

import pytest

import wallaroo
from tests.cluster.harness import copy_application

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "wallaroo": ROOT / "wallaroo",
    "wallaroo_workers": ROOT / "workers" / "wallaroo_workers",
    "wallaroo_connectors": ROOT / "workers" / "wallaroo_connectors",
    "wallaroo_pytest": ROOT / "workers" / "wallaroo_pytest",
    "wallaroo_cli": ROOT / "cli" / "wallaroo_cli",
}


# Builds and installations ask the package index, which may take its time.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build what would be published: the source archive, and the wheel from that archive."""
    folder = tmp_path_factory.mktemp("published")
    run(sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT))
    return folder


@pytest.fixture(scope="module")
def wheel_path(published: Path) -> Path:
    (path,) = published.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel(wheel_path: Path) -> dict[str, bytes]:
    return files_of(wheel_path)


@pytest.fixture(scope="module")
def metadata(wheel: dict[str, bytes]) -> Message:
    (found,) = (data for name, data in wheel.items() if name.endswith(".dist-info/METADATA"))
    return message_from_bytes(found)


def run(
    *command: str, cwd: Path | None = None, environment: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return what a command prints; fail with it if the command fails."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=500, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(folder: Path, environment: Mapping[str, str]) -> Path:
    """Build the wheel as an installation does."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    command = [*pip, "wheel", str(ROOT), "--no-deps", "--quiet", "--wheel-dir", str(folder)]
    run(*command, environment=environment)
    (path,) = folder.glob("*.whl")
    return path


def files_of(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_no_generic_name_reaches_site_packages(wheel: dict[str, bytes]) -> None:
    names = {name.split("/")[0] for name in wheel}
    assert {name for name in names if not name.endswith(".dist-info")} == {*PACKAGES}
    assert len(names) == len(PACKAGES) + 1


def test_the_wheel_has_every_module_as_it_is_here_and_no_other(wheel: dict[str, bytes]) -> None:
    here = {
        f"{package}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*.py")
    }
    assert {name: data for name, data in wheel.items() if name.endswith(".py")} == here


def test_the_wheel_has_every_file_of_the_page(wheel: dict[str, bytes]) -> None:
    static = PACKAGES["wallaroo_workers"] / "dashboard" / "static"
    root = static.parents[1]
    here = {
        f"wallaroo_workers/{path.relative_to(root).as_posix()}": path.read_bytes()
        for path in static.rglob("*")
        if path.is_file()
    }
    packed = {name: data for name, data in wheel.items() if ".dist-info/" not in name}
    assert {name: data for name, data in packed.items() if "/dashboard/static/" in name} == here
    assert {path.rpartition(".")[2] for path in here} >= {"html", "css", "js", "mjs", "svg", "txt"}


def test_libraries_of_the_page_are_as_they_were_released() -> None:
    vendor = PACKAGES["wallaroo_workers"] / "dashboard" / "static" / "vendor"
    listed = {
        name: digest
        for digest, name in re.findall(
            r"^([0-9a-f]{64}) +(\S+)$", (vendor / "VERSIONS.txt").read_text(), re.MULTILINE
        )
    }
    here = {
        path.relative_to(vendor).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.rglob("*")
        if path.suffix in {".js", ".mjs"}
    }
    assert here == listed
    for library in vendor.iterdir():
        assert not library.is_dir() or (library / "LICENSE").exists()


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_may_use_each_package(wheel: dict[str, bytes], package: str) -> None:
    assert f"{package}/py.typed" in wheel


def test_the_commands_are_installed(wheel: dict[str, bytes]) -> None:
    (entry_points,) = (data for name, data in wheel.items() if name.endswith("/entry_points.txt"))
    commands = {
        line.split(" = ")[0] for line in entry_points.decode().splitlines() if " = " in line
    }
    assert {"wallaroo-run", "wallaroo-sender", "wallaroo-receiver"} <= commands


def test_an_index_would_take_what_is_built(published: Path) -> None:
    built = sorted(str(path) for path in published.iterdir())
    assert len(built) == 2
    told = run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *built)
    assert told.count("PASSED") == 2


def test_the_package_is_public_and_describes_itself(metadata: Message) -> None:
    classifiers = metadata.get_all("Classifier", [])
    assert not [each for each in classifiers if each.startswith("Private ::")]
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (ROOT / "README.md").read_text()


def test_the_version_is_told_in_one_place(metadata: Message) -> None:
    assert metadata["Version"] == wallaroo.__version__
    assert f'"{wallaroo.__version__}"' not in (ROOT / "pyproject.toml").read_text()


def test_every_license_comes_with_the_wheel(wheel: dict[str, bytes], metadata: Message) -> None:
    vendor = PACKAGES["wallaroo_workers"] / "dashboard" / "static" / "vendor"
    texts = [path for path in vendor.rglob("*") if path.name.startswith(("LICENSE", "NOTICE"))]
    expected = {path.relative_to(ROOT).as_posix() for path in [ROOT / "LICENSE", *texts]}
    assert {*metadata.get_all("License-File", [])} == expected
    shown = {name.partition("/licenses/")[2] for name in wheel if ".dist-info/licenses/" in name}
    assert shown == expected


def test_the_wheel_works_in_an_empty_environment(wheel_path: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", str(tmp_path / "empty"))
    commands = tmp_path / "empty" / "bin"
    install = ("-m", "pip", "install", "--disable-pip-version-check", "--quiet", str(wheel_path))
    run(str(commands / "python"), *install)
    copy_application(tmp_path, "counts")
    (tmp_path / "in.txt").write_text("b 1\na 1\nb 1\n")
    command, alone = str(commands / "wallaroo-run"), {"PYTHONPATH": ""}
    lines = ("--lines", "in.txt", "out.txt")
    run(command, "counts.py", "--no-dashboard", *lines, cwd=tmp_path, environment=alone)
    assert sorted((tmp_path / "out.txt").read_text().splitlines()) == ["a 1", "b 1", "b 2"]
    told = run(command, "--version", cwd=tmp_path, environment=alone)
    assert told.split()[-1] == wallaroo.__version__


COMPILED = {
    f"wallaroo/{package}/_compiled{sysconfig.get_config_var('EXT_SUFFIX')}"
    for package in ("codec", "routing")
}


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")
def test_modules_are_compiled_if_there_is_a_compiler(wheel: dict[str, bytes]) -> None:
    assert wheel.keys() >= COMPILED


@pytest.mark.parametrize(
    "environment",
    [{"WALLAROO_COMPILE": "0"}, {"CC": "no-such-compiler"}],
    ids=["not wanted", "no compiler"],
)
def test_without_a_compiler_the_wheel_is_pure(
    tmp_path: Path, wheel: dict[str, bytes], environment: dict[str, str]
) -> None:
    path = build(tmp_path, environment)
    assert path.name.endswith("py3-none-any.whl")
    assert {name for name in files_of(path) if not name.endswith("/RECORD")} >= {
        name for name in wheel if name.endswith(".py")
    }


@pytest.mark.parametrize("target", ["run", "dev"])
def test_what_make_installs_shows_its_progress(target: str, tmp_path: Path) -> None:
    """Prerequisites are missing in an empty folder, so all commands are shown, and none is run."""
    (tmp_path / "pyproject.toml").touch()
    command = ["make", "--dry-run", "--file", str(ROOT / "Makefile"), target]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    installs = [line for line in shown.splitlines() if "pip install" in line]
    assert installs
    assert all("PYTHONUNBUFFERED=1" in line and "quiet" not in line for line in installs)
