"""What type checkers say of applications: they find each mistake in wiring, and nothing else.

A line in ``mistakes`` that ends in ``# mistake`` has to be found by both checkers. They must not
find anything in other lines, in ``programs``, which are checked strictly, or in ``untyped``, which
are written as applications were before there were types. Each checker is started once for all.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import wallaroo
from wallaroo.testing import simulate

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHECKED = sorted(path for path in HERE.glob("*/*.py"))
SOUND = [path for path in CHECKED if path.parent.name in ("programs", "untyped")]
MARK = "# mistake"
COMPLETE_PERCENT = 92
"""How many symbols of the whole package, the private part included, have a type that no checker has
to guess. `basedpyright --verifytypes wallaroo --ignoreexternal` lists the others."""

ADDRESSES = [
    *("--in", "127.0.0.1:7010,127.0.0.1:7011,127.0.0.1:7020"),
    *("--out", "127.0.0.1:7002"),
]

pytestmark = pytest.mark.timeout(300)


class Place(NamedTuple):
    """A line of a file beside this one."""

    file: str
    line: int


def run(program: str, *arguments: str) -> str:
    """Return what a program of this environment prints, whether it finds mistakes or not."""
    programs = Path(sys.executable).parent
    # Without a way to name the interpreter, `--verifytypes` takes the first on the path.
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [str(programs / program), *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


@cache
def found_by(checker: str) -> dict[Place, str]:
    """Return the messages of a checker for all files, by place."""
    return dict(_from_mypy() if checker == "mypy" else _from_pyright())


def _from_mypy() -> Iterator[tuple[Place, str]]:
    for line in run("mypy", "--output=json", *map(str, CHECKED)).splitlines():
        if line.startswith("{"):
            each = json.loads(line)
            if each["severity"] == "error":
                yield _place(each["file"], each["line"]), each["message"]


def _from_pyright() -> Iterator[tuple[Place, str]]:
    report = run("basedpyright", "--project", str(HERE), "--pythonpath", sys.executable,
                 "--outputjson")  # fmt: skip
    for each in json.loads(report)["generalDiagnostics"]:
        yield _place(each["file"], each["range"]["start"]["line"] + 1), each["message"]


def _place(file: str, line: int) -> Place:
    return Place((ROOT / file).relative_to(HERE).as_posix(), line)


def places_marked() -> set[Place]:
    return {
        Place(path.relative_to(HERE).as_posix(), number)
        for path in CHECKED
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if line.endswith(MARK)
    }


CHECKERS = pytest.mark.parametrize("checker", ["mypy", "basedpyright"])


@CHECKERS
def test_a_checker_finds_each_mistake_in_wiring(checker: str) -> None:
    missed = places_marked() - found_by(checker).keys()
    assert missed == set()


@CHECKERS
def test_a_checker_finds_nothing_wrong_in_anything_else(checker: str) -> None:
    unmarked = {
        place: message
        for place, message in found_by(checker).items()
        if place not in places_marked()
    }
    assert unmarked == {}


def test_there_are_programs_of_each_kind() -> None:
    counts = {name: len([*(HERE / name).glob("*.py")]) for name in ("programs", "mistakes")}
    assert counts["programs"] >= 10
    assert counts["mistakes"] >= 5
    assert {place.file for place in places_marked()} == {
        path.relative_to(HERE).as_posix() for path in (HERE / "mistakes").glob("*.py")
    }


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.stem)
def test_what_checkers_accept_is_accepted_when_it_runs(path: Path) -> None:
    assert isinstance(loaded(path).application_setup(ADDRESSES), wallaroo.Application)


@pytest.mark.parametrize("name", ["without_annotations", "setup_without_annotations"])
def test_an_untyped_application_runs(name: str) -> None:
    application = loaded(HERE / "untyped" / f"{name}.py").application_setup(
        ["--in", "127.0.0.1:7010", *ADDRESSES[2:]]
    )
    result = simulate(application, {"lines": [[b"a b", b"b c"]]}, seed=1)
    assert any(result.output.values())


@cache
def loaded(path: Path) -> Any:
    """Return the module at ``path``, by a name of its own so that it can be pickled by name."""
    spec = importlib.util.spec_from_file_location(f"typing_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@cache
def completeness() -> dict[str, Any]:
    report = run("basedpyright", "--verifytypes", "wallaroo", "--ignoreexternal", "--outputjson")
    found: dict[str, Any] = json.loads(report)["typeCompleteness"]
    return found


def test_most_symbols_of_the_package_have_a_type_that_is_sure() -> None:
    assert completeness()["completenessScore"] * 100 >= COMPLETE_PERCENT


def test_every_public_symbol_has_a_type_that_is_sure() -> None:
    is_sure = {
        symbol["name"]: symbol["isTypeKnown"] and not symbol["isTypeAmbiguous"]
        for symbol in completeness()["symbols"]
    }
    public = {f"wallaroo.testing.{name}" for name in wallaroo.testing.__all__}
    assert public <= is_sure.keys()
    public |= {name for name in is_sure if name.startswith(("wallaroo.api.", "wallaroo.errors."))}
    assert {name for name in public if not is_sure[name]} == set()
