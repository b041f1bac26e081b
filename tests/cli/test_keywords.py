from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
import pytest

from wallaroo.api.running import RunOptions
from wallaroo.errors import ConfigError
from wallaroo_cli.keywords import OF_THE_COMMAND, settings_for
from wallaroo_cli.run import main

OPTIONS = {
    max(each.opts, key=len).removeprefix("--").replace("-", "_"): each
    for each in main.params
    if isinstance(each, click.Option)
}


def test_the_keywords_are_the_options_of_the_command() -> None:
    assert {*RunOptions.__annotations__} | {"workers"} == {*OPTIONS} - OF_THE_COMMAND


@pytest.mark.parametrize("name", RunOptions.__annotations__)
def test_the_type_of_a_keyword_is_that_of_its_option(name: str) -> None:
    hint, option = get_type_hints(RunOptions)[name], OPTIONS[name]
    if isinstance(option.type, click.Choice):
        assert {*option.type.choices} == {each for arg in get_args(hint) for each in get_args(arg)}
    assert (hint is bool) == option.is_flag


def test_options_that_are_left_out_have_the_defaults_of_the_command() -> None:
    settings = settings_for({"workers": 2, "resilience_dir": None})
    assert settings.worker_count == 2
    assert settings.checkpoints is None
    assert settings.restarts_max == 10
    assert settings.options.stop_on_error is False


def test_a_program_logs_less_and_opens_no_page_unless_it_asks_for_that() -> None:
    assert settings_for({}).options.log_level == "warning"
    assert settings_for({"log_level": "info"}).options.log_level == "info"
    assert settings_for({"debug": True}).options.log_level == "debug"
    assert settings_for({}).page is None
    page = settings_for({"dashboard": "127.0.0.1:0", "dashboard_host": ["a", "b"]}).page
    assert page is not None
    assert page.names == ("a", "b")


def test_paths_may_be_objects(tmp_path: Path) -> None:
    settings = settings_for({"resilience_dir": tmp_path / "c", "checkpoint_interval": 0.25})
    assert settings.checkpoints is not None
    assert settings.checkpoints.location == str(tmp_path / "c")
    assert settings.checkpoints.interval_s == 0.25


@pytest.mark.parametrize(
    ("keywords", "intervals_s"),
    [
        ({"resilience_dir": "here"}, (1.0, 1.0)),
        ({"resilience_dir": "s3://bucket/here"}, (1.0, 5.0)),
        ({"resilience_dir": "s3://bucket/here", "checkpoint_interval": 0.5}, (0.5, 0.5)),
    ],
    ids=str,
)
def test_checkpoints_in_an_object_store_are_less_frequent_with_many_workers(
    keywords: dict[str, Any], intervals_s: tuple[float, float]
) -> None:
    rules = settings_for(keywords).rules()
    assert (rules.interval_s(4), rules.interval_s(100)) == pytest.approx(intervals_s)


@pytest.mark.parametrize(
    ("keywords", "are_local"),
    [
        ({"resilience_dir": "s3://bucket/here"}, True),
        ({"resilience_dir": "s3://bucket/here", "journal_dir": "journals"}, False),
        ({"resilience_dir": "here"}, False),
        ({"resilience_dir": "file:///here"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_journals_are_local_if_no_option_names_a_folder_for_them(
    keywords: dict[str, Any], are_local: bool
) -> None:
    assert settings_for(keywords).options.journals_are_local is are_local


def test_journals_are_by_default_in_the_folder_of_checkpoints_or_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place, expected in [
        ("state", "state/journals"),
        (f"file://{tmp_path}/state", "state/journals"),
        ("s3://bucket/here", "wallaroo-journals"),
    ]:
        settings = settings_for({"resilience_dir": place})
        assert settings.options.journal_folder == str(tmp_path / expected)


@pytest.mark.parametrize(
    ("keywords", "what", "hint"),
    [
        ({"work": 2}, "there is no keyword 'work'", "did you mean 'workers'?"),
        ({"application_module": "a"}, "there is no keyword 'application_module'", "the keywords"),
        ({"workers": -1}, "Invalid value for 'workers': -1 is not in the range", ""),
        ({"max_restarts": 1.5}, "Invalid value for 'max_restarts': '1.5' is not a valid", ""),
        ({"on_error": "ignore"}, "'ignore' is not one of 'dead-letter', 'stop'", ""),
        ({"no_restart": "yes"}, "no_restart is 'yes'", "give True or False"),
        ({"max_restarts": True}, "max_restarts is True", "give a number, a text"),
        ({"take_over": True}, "take_over needs checkpoints, and resilience_dir is not", "add res"),
        ({"max_failures": 3, "on_error": "stop"}, "on_error stop ends the run", "leave out"),
    ],
)
def test_a_wrong_keyword_is_told_as_keyword(keywords: dict[str, Any], what: str, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        settings_for(keywords)
    assert what in raised.value.what
    assert raised.value.hint.startswith(hint)
