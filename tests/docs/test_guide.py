"""What the guide shows is what happens: its code runs, its commands parse, its output comes."""

import importlib
import importlib.metadata
import itertools
import json
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from tests.cluster.harness import (
    COMMANDS,
    Receiver,
    framed,
    lines_of,
    run_to_end,
    running,
    send_file,
)
from tests.docs.pages import Page, page, pages
from wallaroo.errors import WallarooParameterError
from wallaroo.topology.plan import Application
from wallaroo_cli.checkpoints import main as checkpoints_command
from wallaroo_cli.cluster import main as cluster_command
from wallaroo_cli.dead_letters import main as dead_letters_command
from wallaroo_cli.receive import main as receiver_command
from wallaroo_cli.run import main as run_command
from wallaroo_cli.send import main as sender_command

ADDRESSES = ["--in", "127.0.0.1:7010", "--out", "127.0.0.1:7002"]
COMMAND_BY_NAME: dict[str, click.Command] = {
    "wallaroo-run": run_command,
    "wallaroo-checkpoints": checkpoints_command,
    "wallaroo-dead-letters": dead_letters_command,
    "wallaroo-cluster": cluster_command,
    "wallaroo-sender": sender_command,
    "wallaroo-receiver": receiver_command,
}
PAGES = pytest.mark.parametrize("each", pages(), ids=lambda each: each.name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder to import from; what was imported from it is forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if _is_below(sys.modules[name], tmp_path):
            del sys.modules[name]


def _is_below(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_relative_to(folder)


# Code


@PAGES
def test_the_code_of_a_page_runs_from_top_to_bottom(each: Page, folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "guide"}
    for block in each.blocks("python"):
        if not all(map(_is_installed, block.packages)):
            continue
        if block.module is not None:
            (folder / f"{block.module}.py").write_text(block.module_text, encoding="utf-8")
            importlib.invalidate_caches()
            _set_up(vars(importlib.import_module(block.module)), each)
        else:
            # Errors then name the page and its line.
            text = "\n" * (block.line - 1) + block.text
            exec(compile(text, block.page, "exec"), names)
    _set_up(names, each)


def _is_installed(package: str) -> bool:
    """Whether a package of the development tools is there; an older environment may lack it."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _set_up(names: dict[str, Any], shown_on: Page) -> None:
    """Have the application of a module built, if it has one, as ``wallaroo-run`` would."""
    setup = names.get("application_setup")
    if setup is None:
        return
    try:
        plan = setup(["wallaroo-run", *ADDRESSES])
    except WallarooParameterError as error:
        assert "\n".join(error.mistakes) + "\n" == shown_on.labelled("output: mistakes")
    else:
        assert isinstance(plan, Application)


def test_dead_letters_become_frames_again(folder: Path) -> None:
    names: dict[str, Any] = {}
    for block in page("errors.md").blocks("python"):
        exec(block.text, names)
    letter = json.loads(page("errors.md").labelled("output: dead letter"))
    lines = [json.dumps(letter), json.dumps({**letter, "payload": ""})]
    Path("letters.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    names["write_frames"]("letters.jsonl", "again.bin")
    assert Path("again.bin").read_bytes() == framed(b"/cart slow", b"")


# Commands and links


@PAGES
def test_the_commands_of_a_page_can_be_typed(each: Page, folder: Path) -> None:
    for line in each.commands():
        name, *arguments = shlex.split(line)
        for option, value in itertools.pairwise(arguments):
            if option == "--file":
                Path(value).touch()
        command = COMMAND_BY_NAME[name]
        context = command.make_context(name, list(arguments))
        if isinstance(command, click.Group):
            with context:
                sub_name, sub_command, rest = command.resolve_command(context, arguments)
                assert sub_name is not None
                assert sub_command is not None
                context = sub_command.make_context(sub_name, rest, parent=context)
        for_application = list(context.params.get("application_arguments", ()))
        context.close()
        options = for_application[::2]
        assert set(options) <= {"--in", "--out"}, f"{line}: no such option of {name}"


@PAGES
def test_each_application_of_a_page_has_its_own_directory_of_checkpoints(each: Page) -> None:
    owners: dict[str, str] = {}
    for line in each.commands():
        command, *arguments = shlex.split(line)
        if command == "wallaroo-run" and "--resilience-dir" in arguments:
            folder = arguments[arguments.index("--resilience-dir") + 1]
            module = arguments[arguments[0] == "--application-module"]
            assert owners.setdefault(folder, module) == module


def test_running_has_a_row_for_each_option_of_wallaroo_run() -> None:
    shown = {
        part.split()[0].split("=")[0].strip("`")
        for first, *_ in page("running.md").rows()
        if first.startswith("`--")
        for part in first.split(", ")
    }
    options = {
        name for each in run_command.params for name in each.opts if isinstance(each, click.Option)
    }
    assert shown == options


@pytest.mark.parametrize("each", pages()[:-1], ids=lambda each: each.name)
def test_the_links_of_a_page_lead_somewhere(each: Page) -> None:
    for link in each.links():
        path, _, anchor = link.partition("#")
        target = each.path.parent / path if path else each.path
        assert target.exists(), f"{each.name} links to {link}"
        if anchor:
            anchors = page(target.name).anchors()
            assert anchor in anchors, f"{each.name} links to {link}; there are {anchors}"


def test_the_index_has_all_pages_of_the_guide() -> None:
    written_by_others = {"README.md", "performance.md"}
    listed = set(page("README.md").links())
    assert {each.name for each in pages()[:-1]} - written_by_others <= listed


# The first application


@pytest.fixture
def first_application(tmp_path: Path) -> Path:
    """The folder that a reader of the page has made."""
    shown = page("first-application.md")
    (tmp_path / "response_times.py").write_text(shown.module_text("response_times"))
    (tmp_path / "requests.txt").write_text(shown.labelled("file: requests.txt"))
    (tmp_path / "bad.txt").write_text("/cart slow\n")
    return tmp_path


def test_the_first_application_has_the_plan_that_its_page_shows(first_application: Path) -> None:
    module = ["--application-module", "response_times"]
    printed = subprocess.run(
        [str(COMMANDS / "wallaroo-run"), *module, *ADDRESSES, "--plan"],
        cwd=first_application,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed.strip() == page("first-application.md").labelled("output: plan").strip()


@pytest.mark.cluster
def test_the_first_application_gives_what_the_pages_show(first_application: Path) -> None:
    receiver = Receiver()
    options = ["--in", "127.0.0.1:0", "--out", receiver.address, "--workers", "2"]
    with running(first_application, "response_times", *options) as cluster:
        ready = cluster.wait_ready()
        send_file(cluster.source_port(), first_application / "requests.txt")
        send_file(cluster.source_port(), first_application / "bad.txt")
        assert cluster.stop() == 0
    assert _shape(ready) == _shape(json.loads(page("running.md").labelled("output: ready file")))
    _assert_output(receiver.finish())
    _assert_dead_letter(first_application / "dead-letters")


def _assert_output(output: list[bytes]) -> None:
    shown = page("first-application.md").labelled("output: wallaroo-receiver").encode()
    assert lines_of(output) == lines_of([shown])
    for path in (b"/cart", b"/login", b"/search"):
        in_order = [line for line in shown.splitlines() if line.startswith(path)]
        came = [line for data in output for line in data.splitlines() if line.startswith(path)]
        assert came == in_order


def _assert_dead_letter(letters: Path) -> None:
    (path,) = letters.glob("response-times-w*.jsonl")
    (line,) = path.read_text().splitlines()
    letter = json.loads(line)
    shown = json.loads(page("errors.md").labelled("output: dead letter"))
    assert list(letter) == list(shown)
    for values in (letter, shown):
        del values["time"]
        trace = values.pop("traceback").splitlines()
        # How the place in a line is marked differs between versions of Python.
        code = [each for each in trace if each.strip(" ~^")]
        values["trace"] = [each.rpartition("/")[2] for each in code]
        values["at"] = values["at"].rpartition("/")[2]
        del values["worker"]  # whichever got the connection
    assert letter == shown


@pytest.mark.cluster
def test_the_first_error_stops_the_run_where_that_is_asked_for(first_application: Path) -> None:
    receiver = Receiver()
    options = ["--in", "127.0.0.1:0", "--out", receiver.address, "--on-error", "stop"]
    with running(first_application, "response_times", *options) as cluster:
        cluster.wait_ready()
        send_file(cluster.source_port(), first_application / "bad.txt")
        assert cluster.wait_end() == 1
        shown = page("errors.md").labelled("output: on-error stop").splitlines()
        assert [line.replace(str(first_application), "") for line in cluster.errors] == [
            line.replace("/srv/response_times/", "/", 1) for line in shown
        ]
    receiver.close()


def _shape(value: Any) -> Any:
    """The names and kinds in a JSON value, without what differs from run to run."""
    if isinstance(value, dict):
        return {name: _shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_shape(each) for each in value]
    return type(value).__name__


@pytest.mark.cluster
def test_the_job_from_file_to_file_gives_what_its_page_shows(tmp_path: Path) -> None:
    shown = page("files.md")
    (tmp_path / "totals.py").write_text(shown.module_text("totals"))
    (tmp_path / "orders.txt").write_text(shown.labelled("file: orders.txt"))
    (command,) = [line for line in shown.commands() if "resilience" not in line]
    ended = run_to_end(tmp_path, *shlex.split(command)[1:])
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "totals.txt").read_text() == shown.labelled("output: totals.txt")


# Runs that do not start

MODULES = {
    "needs_more": "import nosuchlib\n",
    "misspelled": "def application_setup(args)\n",
    "no_setup": "application = None\n",
    "five": "def application_setup(args):\n    return 5\n",
    "divides": "def application_setup(args):\n    return 1 / 0\n",
    "exits": "def application_setup(args):\n    raise SystemExit(3)\n",
}


@pytest.mark.cluster
def test_runs_that_do_not_start_say_what_the_page_says(first_application: Path) -> None:
    for name, text in MODULES.items():
        (first_application / f"{name}.py").write_text(text)
    good = (first_application / "response_times.py").read_text()
    one_way = good + "\n\ndef serialize(record):\n    return b''\n"
    (first_application / "one_way.py").write_text(one_way)
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        taken, free = other.getsockname()[1], nobody.getsockname()[1]
        runs = {name: [name, *ADDRESSES] for name in [*MODULES, "response_tims", "one_way"]}
        at = "response_times"
        out = ["--out", f"127.0.0.1:{free}", "--sink-timeout", "1"]
        runs["no --in"] = [at, *out]
        runs["no port"] = [at, *out, "--in", "127.0.0.1"]
        runs["taken"] = [at, *out, "--in", f"127.0.0.1:{taken}"]
        runs["elsewhere"] = [at, *out, "--in", "192.0.2.1:7010"]
        runs["no sink"] = [at, *out, "--in", "127.0.0.1:0"]
        ended = _run_all(runs, first_application)
    as_shown = {
        f":{taken}": ":7010",
        f":{free}": ":7002",
        str(first_application): "/srv/response_times",
    }
    rows = {
        (row[0].strip("`"), row[-1]) for row in page("errors.md").rows() if row[-1] in ("1", "2")
    }
    assert {(_replaced(message, as_shown), status) for message, status in ended} == rows


def _replaced(text: str, replacements: dict[str, str]) -> str:
    for old, new in replacements.items():
        text = text.replace(old, new)
    return text


def _run_all(runs: dict[str, list[str]], folder: Path) -> list[tuple[str, str]]:
    """Run the commands side by side; return the message and the exit status of each."""
    command = [str(COMMANDS / "wallaroo-run"), "--application-module"]
    processes = [
        subprocess.Popen(
            [*command, *arguments], cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        for arguments in runs.values()
    ]
    ended = []
    for process in processes:
        _, said = process.communicate(timeout=60)
        errors = [line for line in said.decode().splitlines() if line.startswith("Error: ")]
        ended.append(("\n".join(errors).removeprefix("Error: "), str(process.returncode)))
    return ended
