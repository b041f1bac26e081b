"""The page about production: its service files start, and its alerts are those of the example."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, page, pages
from wallaroo_cli.run import check_chosen, options_chosen
from wallaroo_cli.run import main as run_command

START = re.compile(r"^ExecStart=\S+/wallaroo-run (.+)$", re.MULTILINE)
STARTS = [
    arguments
    for each in pages()
    for block in each.blocks("ini")
    for arguments in START.findall(block.text)
]


@pytest.mark.parametrize("arguments", STARTS)
def test_wallaroo_run_takes_what_units_of_systemd_give_it(arguments: str) -> None:
    context = run_command.make_context("wallaroo-run", shlex.split(arguments))
    with context.scope():
        chosen = options_chosen(dict(context.params))
        check_chosen(chosen, [])
    assert set(chosen.application_arguments[::2]) <= {"--in", "--out"}


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    units = page("production.md").blocks("ini")
    names = ["words.service", "words-worker@.service"]
    for name, unit in zip(names, units, strict=True):
        # It looks for the program.
        program = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.text, flags=re.MULTILINE)
        path = tmp_path / name
        path.write_text(program)
        command = ["systemd-analyze", "verify", "--man=no", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_table_of_alerts_is_that_of_the_rules() -> None:
    rules = (ROOT / "examples" / "monitoring" / "alerts.yml").read_text()
    listed = [
        row[0].strip("`") for row in page("production.md").rows() if row[0].startswith("`Wallaroo")
    ]
    assert listed == re.findall(r"alert: (\w+)", rules)
