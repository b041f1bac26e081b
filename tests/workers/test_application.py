"""Loading an application: what the user got wrong comes back with the user's own file and line."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import wallaroo
from wallaroo.errors import ConfigError, WallarooError, WallarooParameterError
from wallaroo.topology.plan import Application
from wallaroo_workers.application import load_plan
from wallaroo_workers.settings import ApplicationSettings

GOOD = """
import wallaroo


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload):
    return payload


@wallaroo.encoder
def encode(record):
    return record


def application_setup(args):
    return (
        wallaroo.ApplicationBuilder("good")
        .new_pipeline("lines", wallaroo.TCPSourceConfig("127.0.0.1", 0, decode))
        .to_sink(wallaroo.TCPSinkConfig("127.0.0.1", 7002, encode))
        .build()
    )
"""
MISTAKEN = """
import wallaroo


def application_setup(args):
    return (
        wallaroo.ApplicationBuilder("mistaken")
        .new_pipeline("one", wallaroo.TCPSourceConfig("127.0.0.1", 99999, None))
        .to(len)
        .new_pipeline("one", 5)
        .to_sinks([])
        .build()
    )
"""


@pytest.fixture(autouse=True)
def _as_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Search the test's folder, and forget afterwards what was imported from it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        del sys.modules[name]
    importlib.invalidate_caches()


def load(folder: Path, module: str = "app", *arguments: str) -> Application:
    importlib.invalidate_caches()
    settings = ApplicationSettings(
        module=module, paths=[str(folder)], arguments=["wallaroo-run", *arguments]
    )
    return load_plan(settings)


def error_of(folder: Path, source: str, module: str = "app") -> WallarooError:
    """Return what loading this application says."""
    (folder / "app.py").write_text(source)
    with pytest.raises(WallarooError) as caught:
        load(folder, module)
    return caught.value


def test_an_application_is_found_in_its_folder_and_built(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(GOOD)
    plan = load(tmp_path)
    assert plan.name == "good"


def test_modules_of_the_application_see_the_whole_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wallaroo, "_ARGS", ())
    (tmp_path / "app.py").write_text(f"import wallaroo\nSEEN = wallaroo._ARGS\n{GOOD}")
    line = ["wallaroo-run", "app.py", "--workers", "2", "--in", "x"]
    load_plan(
        ApplicationSettings(
            module="app", paths=[str(tmp_path)], arguments=[line[0], *line[4:]], command_line=line
        )
    )
    assert tuple(line) == sys.modules["app"].SEEN


def test_the_application_gets_the_arguments(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def application_setup(args):\n    raise ValueError(args)\n")
    with pytest.raises(ConfigError, match=r"\['wallaroo-run', '--in', 'x'\]"):
        load(tmp_path, "app", "--in", "x")


def test_users_folders_are_searched_behind_all_libraries(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(GOOD)
    load(tmp_path)
    assert sys.path[-1] == str(tmp_path)


@pytest.mark.parametrize("module", ["missing", "app.py", "app.missing"])
def test_a_module_that_is_not_there_is_told_with_the_folders_searched(
    tmp_path: Path, module: str
) -> None:
    error = error_of(tmp_path, GOOD, module)
    assert error.what == f"there is no module {module!r} in {tmp_path}"
    assert "give the path of its file" in error.hint
    assert error.exit_code == 2


def test_the_module_that_is_probably_meant_is_named(tmp_path: Path) -> None:
    assert error_of(tmp_path, GOOD, "ap").hint.startswith("did you mean app? start the command")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\ny = = 2\n", "app.py:2: SyntaxError: invalid syntax"),
        ("import struct\nstruct.unpack('>I', b'')\n", "app.py:2: error: unpack requires"),
        ("import no_such_library\n", "app.py:1: ModuleNotFoundError: No module named"),
        ("import json\n\njson.loads('{')\n", "app.py:3: JSONDecodeError: Expecting property"),
    ],
)
def test_a_module_that_fails_is_told_with_the_users_line(
    tmp_path: Path, source: str, said: str
) -> None:
    error = error_of(tmp_path, source)
    assert error.what.startswith(f"module 'app' cannot be imported: {said}")
    assert "--debug" in error.hint
    assert error.exit_code == 2


def test_a_failure_in_another_module_of_the_user_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def read():\n    return {}['rate']\n")
    error = error_of(tmp_path, "import helper\nRATE = helper.read()\n")
    assert error.what == "module 'app' cannot be imported: helper.py:2: KeyError: 'rate'"


def test_a_module_that_exits_is_reported(tmp_path: Path) -> None:
    error = error_of(tmp_path, "raise SystemExit(3)\n")
    assert error.what == "module 'app' ended the process with status 3 when it was imported"
    assert "__main__" in error.hint
    assert error.exit_code == 2


@pytest.mark.parametrize("source", ["", "application_setup = 5\n"])
def test_a_module_without_application_setup_is_reported(tmp_path: Path, source: str) -> None:
    error = error_of(tmp_path, source)
    assert error.what == "app.py has no function application_setup"
    assert "def application_setup(args):" in error.hint
    assert error.exit_code == 2


def test_an_application_setup_that_fails_is_told_with_the_users_line(tmp_path: Path) -> None:
    error = error_of(tmp_path, "def application_setup(args):\n    return args[5]\n")
    assert error.what == "application_setup failed: app.py:2: IndexError: list index out of range"
    assert error.exit_code == 2


def test_an_application_setup_that_exits_is_reported(tmp_path: Path) -> None:
    error = error_of(
        tmp_path,
        "import argparse\n\n\ndef application_setup(args):\n"
        "    argparse.ArgumentParser().parse_args(['--unknown'])\n",
    )
    assert error.what == "application_setup ended the process with status 2"
    assert "parse_known_args" in error.hint
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("returned", "kind"), [("None", "NoneType"), ("wallaroo.ApplicationBuilder('a')", None)]
)
def test_an_application_setup_that_returns_something_else_is_reported(
    tmp_path: Path, returned: str, kind: str | None
) -> None:
    error = error_of(
        tmp_path, f"import wallaroo\n\n\ndef application_setup(args):\n    return {returned}\n"
    )
    assert error.what == (
        f"application_setup in app.py returned {kind or 'ApplicationBuilder'}, not an application"
    )
    assert "return application.build()" in error.hint
    assert error.exit_code == 2


def test_all_mistakes_of_an_application_are_told_together(tmp_path: Path) -> None:
    error = error_of(tmp_path, MISTAKEN)
    assert isinstance(error, WallarooParameterError)
    assert len(error.mistakes) >= 5
    assert all("app.py:" in mistake for mistake in error.mistakes)
    assert len(error.what.splitlines()) == len(error.mistakes)
    assert error.exit_code == 2


@pytest.mark.parametrize("name", ["serialize", "deserialize"])
def test_one_half_of_a_serialization_is_refused(tmp_path: Path, name: str) -> None:
    error = error_of(tmp_path, GOOD + f"\n\ndef {name}(value):\n    return value\n")
    assert error.what == f"app.py defines {name} without its counterpart"
    assert error.exit_code == 2


def test_both_halves_of_a_serialization_become_part_of_the_plan(tmp_path: Path) -> None:
    source = GOOD + "\n\ndef serialize(value):\n    return b'x'\n\n\ndeserialize = len\n"
    (tmp_path / "app.py").write_text(source)
    plan = load(tmp_path)
    assert plan.serialize is not None
    assert plan.serialize(5) == b"x"
    assert plan.deserialize is len
