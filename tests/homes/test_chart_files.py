"""What can be said of the chart and the Dockerfile without Helm."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.homes.helm import CHART, EXAMPLE
from wallaroo_cli.run import main as run_command

pytestmark = pytest.mark.kubernetes

TOOLS = Path(sys.executable).parent
OPTION = re.compile(r"^ *- (--[a-z-]+)$", re.MULTILINE)


def run_tool(name: str, *arguments: str) -> str:
    """Return what a tool of the environment finds; empty if it finds nothing."""
    tool = shutil.which(name, path=str(TOOLS))
    assert tool is not None, f"{name} is missing; make dev installs it"
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_chart_uses_only_options_that_wallaroo_run_has() -> None:
    there = {
        name for each in run_command.params for name in each.opts if isinstance(each, click.Option)
    }
    used = {
        option
        for path in (CHART / "templates").iterdir()
        for option in OPTION.findall(path.read_text())
    }
    assert "--join" in used
    # `--in` is for the application.
    assert used - there == {"--in"}


def test_the_default_values_fit_their_schema() -> None:
    schema, values = CHART / "values.schema.json", CHART / "values.yaml"
    assert run_tool("check-jsonschema", "--schemafile", str(schema), str(values)) == ""


def test_the_chart_has_the_alert_rules_of_the_monitoring_example() -> None:
    rules = EXAMPLE.parent / "monitoring" / "alerts.yml"
    assert (CHART / "alerts.yaml").read_text() == rules.read_text()


def test_the_image_is_built_as_hadolint_advises() -> None:
    assert run_tool("hadolint", str(EXAMPLE / "Dockerfile")) == ""
