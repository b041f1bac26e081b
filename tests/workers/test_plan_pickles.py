"""Plans are pickled by reference: workers import the code, and find each function of it."""

import base64
import importlib
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.cluster.harness import APPLICATIONS
from wallaroo.errors import ConfigError
from wallaroo.testing import TestSink, TestSource
from wallaroo.topology.fingerprint import outline
from wallaroo_workers.plan_pickles import PlanPickle, pickled_plan, unpickled_plan

MODULE = APPLICATIONS / "pickled_plan.py"

LOADING = """
import base64, json, sys
from wallaroo_workers.plan_pickles import PlanPickle, unpickled_plan
from wallaroo.topology.fingerprint import outline
from wallaroo.testing import collect
data, main, files = json.loads(sys.stdin.read())
plan = unpickled_plan(PlanPickle(data=base64.b64decode(data), main=main, files=files))
print(json.dumps([list(outline(plan)), collect(plan, {}).outputs]))
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of the user, which is found by its name here and by its file elsewhere."""
    (tmp_path / "of_the_user.py").write_text(MODULE.read_text())
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("of_the_user")
    del sys.modules["of_the_user"]


def in_another_process(pickled: PlanPickle) -> Any:
    import json

    given = [base64.b64encode(pickled.data).decode(), pickled.main, pickled.files]
    done = subprocess.run(
        [sys.executable, "-c", LOADING],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_another_process_has_the_same_functions_from_the_same_files(module: Any) -> None:
    plan = module.plan(5)
    lines, outputs = in_another_process(pickled_plan(plan))
    assert lines == list(outline(plan))
    from wallaroo.testing import collect

    assert outputs == collect(plan, {}).outputs
    assert outputs["out"]


def test_no_code_travels(module: Any) -> None:
    data = pickled_plan(module.plan(5)).data
    assert b"co_code" not in data
    assert b"marshal" not in data


def test_a_file_that_was_changed_is_noticed(module: Any, tmp_path: Path) -> None:
    pickled = pickled_plan(module.plan(5))
    (tmp_path / "of_the_user.py").write_text("# one more line\n" + MODULE.read_text())
    with pytest.raises(ConfigError, match=r"plan.<locals>.inner is not in line \d+ of .*any more"):
        unpickled_plan(pickled)


def test_what_cannot_be_pickled_is_named_with_its_step(module: Any) -> None:
    made: dict[str, Any] = {}
    exec("def from_a_cell(record):\n    return record", made)
    with pytest.raises(ConfigError) as raised:
        pickled_plan(module.plan(5, made["from_a_cell"]))
    assert "the function from_a_cell at <string>:1 of step 'given'" in raised.value.what
    assert "workers=0" in raised.value.hint


def test_what_a_function_remembers_has_to_be_picklable(module: Any) -> None:
    lock = pickle_refusing()
    with pytest.raises(ConfigError, match=r"workers cannot import .*Refusing.* of step 'given'"):
        pickled_plan(module.plan(5, remembering(lock)))


class Refusing:
    def __reduce__(self) -> Any:
        raise pickle.PicklingError("it refuses")


def pickle_refusing() -> Any:
    return Refusing()


def remembering(value: Any) -> Callable[[Any], Any]:
    return lambda record: (record, value)


def test_a_module_of_another_name_is_not_used_instead(
    module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pickled = pickled_plan(module.plan(5))
    other = ModuleType("of_the_user")
    other.__file__ = __file__
    monkeypatch.setitem(sys.modules, "of_the_user", other)
    with pytest.raises(ConfigError, match=r"the name 'of_the_user' means .*not"):
        unpickled_plan(pickled)


SCRIPT = """
import wallaroo
from wallaroo.testing import TestSink, TestSource
from wallaroo_workers.plan_pickles import pickled_plan, unpickled_plan

if __name__ == "__main__":
    def mine(record):
        return record

    step = DECORATED
    source = wallaroo.source("in", TestSource([1]))
    plan = wallaroo.build_application("app", source.to(step).to_sink(TestSink("out")))
    try:
        unpickled_plan(pickled_plan(plan))
    except wallaroo.WallarooError as error:
        print(error.what, error.hint)
"""


@pytest.mark.parametrize(
    ("decorated", "name"), [("mine", "mine"), ('wallaroo.computation("s")(mine)', "mine")]
)
def test_a_function_that_only_the_script_has_is_named_with_the_remedy(
    tmp_path: Path, decorated: str, name: str
) -> None:
    script = tmp_path / "of_a_script.py"
    script.write_text(SCRIPT.replace("DECORATED", decorated))
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert done.stdout == (
        f"workers import 'of_a_script', and find no {name!r} there: it is defined under "
        '`if __name__ == "__main__":`, which is not true in a worker define it above that line, '
        "in no block\n"
    ), done.stderr


def test_a_sink_is_pickled_without_its_records() -> None:
    sink = TestSink("out")
    sink.records.append(object())
    assert pickle.loads(pickle.dumps(sink)).records == []


def test_mistakes_of_test_doubles_are_told() -> None:
    wrong: Any = 3
    assert [*TestSource(wrong).mistakes_at("a.py:1")] == [
        "a.py:1: the items of TestSource are an int; give a list"
    ]
    assert [*TestSource([], name=wrong).mistakes_at("a.py:1")]
    assert [*TestSink(wrong).mistakes_at("a.py:1")]
    assert [*TestSink("fine").mistakes_at("a.py:1")] == []
