"""What is installed is exactly the three packages of the checkout."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "wallaroo": ROOT / "wallaroo",
    "wallaroo_workers": ROOT / "workers" / "wallaroo_workers",
    "wallaroo_cli": ROOT / "cli" / "wallaroo_cli",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Build the wheel as an installation does; return its files."""
    return files_of(build(tmp_path_factory.mktemp("wheel")))


def build(folder: Path, **environment: str) -> Path:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    command = [*pip, "wheel", str(ROOT), "--no-deps", "--quiet", "--wheel-dir", str(folder)]
    built = subprocess.run(
        command, capture_output=True, text=True, timeout=100, check=False,
        env=os.environ | environment,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
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
    assert {name: data for name, data in wheel.items() if "/dashboard/static/" in name} == here
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


COMPILED = f"wallaroo/codec/_compiled{sysconfig.get_config_var('EXT_SUFFIX')}"


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")
def test_framing_is_compiled_where_there_is_a_compiler(wheel: dict[str, bytes]) -> None:
    assert COMPILED in wheel


@pytest.mark.parametrize(
    "environment",
    [{"WALLAROO_COMPILE": "0"}, {"CC": "no-such-compiler"}],
    ids=["not wanted", "no compiler"],
)
def test_without_a_compiler_the_wheel_is_pure(
    tmp_path: Path, wheel: dict[str, bytes], environment: dict[str, str]
) -> None:
    path = build(tmp_path, **environment)
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
