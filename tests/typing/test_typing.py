"""What type checkers say of applications: they find each mistake in wiring, and nothing else.

A line in ``mistakes`` that ends in ``# mistake`` has to be found by both checkers. They must not
find anything in other lines, in ``programs``, which are checked strictly, in ``untyped``, which are
written as applications were before there were types, or in what the guide shows. All are copied
into one folder, as if it were a user's, and each checker is started there once.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import wallaroo
from tests.docs.pages import Page, page, pages
from wallaroo.testing import simulate

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOLDERS = ("programs", "mistakes", "untyped")
SOUND = [*sorted((HERE / "programs").glob("*.py")), *sorted((HERE / "untyped").glob("*.py"))]
MARK = "# mistake"
STRICT_PAGES = ("README.md", "first-application.md")
WRONG_MODULE = "hasty"
"""The guide shows with it what ``build`` says of mistakes; checkers find one of them as well."""
UNTYPED = (
    "# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls\n# pyright: basic\n"
)
COMPLETE_PERCENT = 90
"""Of the symbols of the whole package, most of them private, so many have a type that no checker
has to guess. `basedpyright --verifytypes wallaroo --ignoreexternal` lists the others; what it calls
ambiguous is mostly an attribute such as `self.count = 0`. The public surface has to be complete."""

ADDRESSES = [
    *("--in", "127.0.0.1:7010,127.0.0.1:7011,127.0.0.1:7020"),
    *("--out", "127.0.0.1:7002"),
]

pytestmark = pytest.mark.timeout(300)


class Place(NamedTuple):
    """A line of a file in the folder that is checked."""

    file: str
    line: int


def run(folder: Path, program: str, *arguments: str, **variables: str) -> str:
    """Return what a program of this environment prints, whether it finds mistakes or not."""
    programs = Path(sys.executable).parent
    # Without a way to name the interpreter, `--verifytypes` takes the first on the path.
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(programs / program), *arguments],
        cwd=folder, env={**os.environ, "PATH": path, **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that is checked."""
    folder = tmp_path_factory.mktemp("project")
    for name in FOLDERS:
        shutil.copytree(HERE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE / "pyrightconfig.json", folder)
    (folder / "guide").mkdir()
    for name, text in guide_modules():
        (folder / "guide" / f"{name}.py").write_text(text)
    return folder


def guide_modules() -> Iterator[tuple[str, str]]:
    """Yield name and text of each module that the guide and README show."""
    for each in pages():
        comments = "" if each.name in STRICT_PAGES else UNTYPED
        for block in each.blocks("python"):
            if block.module not in (None, WRONG_MODULE):
                yield block.module, comments + block.module_text
    yield "applications", UNTYPED + code_of(page("applications.md"))


def code_of(shown: Page) -> str:
    return "\n".join(block.text for block in shown.blocks("python"))


@pytest.fixture(scope="module", params=["mypy", "basedpyright"])
def found(request: pytest.FixtureRequest, project: Path) -> dict[Place, str]:
    """What a checker says of all files, by place."""
    return dict(from_mypy(project) if request.param == "mypy" else from_pyright(project))


def from_mypy(project: Path) -> Iterator[tuple[Place, str]]:
    cache_folder = ROOT / ".mypy_cache" / "applications"
    options = ["--strict", "--config-file=", f"--cache-dir={cache_folder}", "--output=json"]
    said = run(project, "mypy", *options, "--explicit-package-bases", ".", MYPYPATH="guide")
    for line in said.splitlines():
        if line.startswith("{"):
            each = json.loads(line)
            if each["severity"] == "error":
                yield Place(each["file"], each["line"]), each["message"]


def from_pyright(project: Path) -> Iterator[tuple[Place, str]]:
    report = run(project, "basedpyright", "--pythonpath", sys.executable, "--outputjson")
    for each in json.loads(report)["generalDiagnostics"]:
        file = Path(each["file"]).relative_to(project).as_posix()
        yield Place(file, each["range"]["start"]["line"] + 1), each["message"]


def places_marked() -> set[Place]:
    return {
        Place(path.relative_to(HERE).as_posix(), number)
        for path in (HERE / "mistakes").glob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if line.endswith(MARK)
    }


def test_a_checker_finds_each_mistake_in_wiring(found: dict[Place, str]) -> None:
    assert places_marked() - found.keys() == set()


def test_a_checker_finds_nothing_wrong_in_anything_else(found: dict[Place, str]) -> None:
    marked = places_marked()
    assert {place: message for place, message in found.items() if place not in marked} == {}


def test_there_are_applications_of_each_kind(project: Path) -> None:
    counts = {name: len([*(project / name).glob("*.py")]) for name in (*FOLDERS, "guide")}
    assert counts["programs"] >= 10
    assert counts["mistakes"] >= 5
    assert counts["guide"] >= 7
    assert {place.file for place in places_marked()} == {
        path.relative_to(project).as_posix() for path in (project / "mistakes").glob("*.py")
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
    report = run(
        ROOT, "basedpyright", "--verifytypes", "wallaroo", "--ignoreexternal", "--outputjson"
    )
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
