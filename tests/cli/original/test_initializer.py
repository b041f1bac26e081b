"""What the original's initializer makes of its options."""

from pathlib import Path

from wallaroo_cli.original.companion import INITIALIZER
from wallaroo_cli.original.files import Card, Files, Traces
from wallaroo_cli.original.initializer import _settings
from wallaroo_cli.original.options import parse_original
from wallaroo_workers.settings import ApplicationSettings


def test_failures_never_change_the_status_of_a_stop(tmp_path: Path) -> None:
    options = parse_original(
        "--application-module alphabet --in 127.0.0.1:7010 --out 127.0.0.1:7002 "
        "--control 127.0.0.1:20001 --data 127.0.0.1:20002 --external 127.0.0.1:20003 "
        f"--cluster-initializer --resilience-dir {tmp_path}".split()
    )
    application = ApplicationSettings(module="alphabet", paths=[str(tmp_path)], arguments=[])
    files = Files(str(tmp_path), "alphabet", INITIALIZER, options.control)
    card = Card(secret="00" * 32, control=options.control)
    rule = _settings(options, application, files, Traces(), card).failures
    assert (rule.sets_status, rule.limit) == (False, None)
