"""The functions of the application are tested without Ray."""

import importlib.util
from collections import Counter
from pathlib import Path

import on_ray

from wallaroo.testing import collect

HERE = Path(__file__).parent


def test_a_line_becomes_words():
    assert on_ray.split("The cat, the mat") == ["the", "cat", "the", "mat"]


def test_each_word_is_counted():
    counts = Counter(cat=2)
    result, _save_state = on_ray.count_word("cat", counts)
    assert result == on_ray.WordCount("cat", 3)


def test_the_output_is_a_line_of_text():
    assert on_ray.encode_count(on_ray.WordCount("cat", 3)) == "cat 3\n"


def test_the_application_gives_what_is_expected_of_its_sample():
    spec = importlib.util.spec_from_file_location("on_ray_expected", HERE / "expected.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (HERE / "lines.txt").read_text()
    plan = on_ray.application_setup(["on_ray"])
    [lines] = collect(plan, {"lines": text.splitlines()}).encoded.values()
    assert sorted(line.decode().strip() for line in lines) == module.expected(text)
