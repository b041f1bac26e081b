"""Options of Kafka clients: what is refused, where secrets come from, and that none is shown."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import wallaroo
from wallaroo_connectors.kafka.options import ClientOptions

REFUSED = {"group.id": "give group= instead", "enable.auto.*": "positions are in checkpoints"}


def options(given: Any = None, path: Path | None = None) -> ClientOptions:
    return ClientOptions("b1:9092", given, path, REFUSED)


def mistakes(given: Any) -> list[str]:
    return [*options(given).mistakes({})]


def test_options_reach_the_client_as_they_are_and_come_before_ours() -> None:
    given = {"fetch.wait.max.ms": 5, "client.id": "mine"}
    made = options(given).client_options({"client.id": "ours", "log_level": 0})
    assert made == {**given, "log_level": 0, "bootstrap.servers": "b1:9092"}


def test_a_secret_comes_from_the_environment_when_a_client_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"sasl.password": "${env:KAFKA_PASSWORD}", "client.id": "a-${env:PLACE}-b"}
    secret = options(given)
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    monkeypatch.setenv("PLACE", "here")
    made = secret.client_options({})
    assert (made["sasl.password"], made["client.id"]) == ("hunter2", "a-here-b")
    assert "hunter2" not in repr(secret) + str(vars(secret))
    assert secret.without_secrets("login with hunter2 failed") == "login with *** failed"


def test_brokers_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ClientOptions("${env:BROKERS}", None, None, REFUSED)
    assert [*made.mistakes({})] == []
    monkeypatch.setenv("BROKERS", "b7:9092")
    assert made.client_options({})["bootstrap.servers"] == "b7:9092"
    monkeypatch.delenv("BROKERS")
    with pytest.raises(wallaroo.SourceError, match="needs the environment variable BROKERS, which"):
        made.client_options({})


def test_brokers_from_the_environment_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKERS", "SSL://b7.inside:9092, b8.inside:9092")
    secret = ClientOptions("${env:BROKERS}", None, None, REFUSED)
    said = "b8.inside:9092/bootstrap: Failed to resolve 'b8.inside', nor b7.inside:9092"
    assert secret.without_secrets(said) == "***/bootstrap: Failed to resolve '***', nor ***"
    said = "b8.inside:9092/bootstrap: Connect to ipv4#10.0.0.7:9092 failed: refused"
    assert secret.without_secrets(said) == "***/bootstrap: Connect to *** failed: refused"
    assert options().without_secrets("b1:9092/bootstrap: refused") == "b1:9092/bootstrap: refused"


def test_a_literal_password_is_not_shown_either() -> None:
    secret = options({"sasl.password": "hunter2"})
    assert "hunter2" not in repr(secret)
    assert secret.without_secrets('Invalid value "hunter2"') == 'Invalid value "***"'


def test_a_variable_that_is_not_set_is_an_error_only_when_a_client_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KAFKA_PASSWORD", raising=False)
    given = {"sasl.password": "${env:KAFKA_PASSWORD}"}
    assert mistakes(given) == []
    with pytest.raises(wallaroo.SourceError, match="KAFKA_PASSWORD, which is not set"):
        options(given).client_options({})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"group.id": "x"}, 'option "group.id" is set by this connector; give group= instead'),
        ({"enable.auto.commit": True}, "positions are in checkpoints"),
        ({"bootstrap.servers": "x"}, "give bootstrap= instead"),
        ({"error_cb": print}, "give a text or number"),
        ({3: "x"}, "is not a text"),
        ({"fetch.wait.maximum": 1}, 'No such configuration property: "fetch.wait.maximum"'),
        ({"security.protocol": "SSLL"}, 'Invalid value "SSLL"'),
        ("acks=all", "give a dict of names and values"),
    ],
)
def test_a_wrong_option_is_a_sentence_with_what_to_do(given: Any, said: str) -> None:
    [mistake] = mistakes(given)
    assert said in mistake


def test_a_bootstrap_that_is_empty_is_a_mistake() -> None:
    [mistake] = ClientOptions(" ", None, None, {}).mistakes({})
    assert mistake == "bootstrap is ' '; give HOST:PORT of one or more brokers"


def test_a_file_has_options_and_the_application_changes_some(tmp_path: Path) -> None:
    path = tmp_path / "client.properties"
    path.write_text("# of the team\n\nsecurity.protocol = SASL_SSL\nclient.id=file\n")
    made = options({"client.id": "mine"}, path).client_options({})
    assert made["security.protocol"] == "SASL_SSL"
    assert made["client.id"] == "mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no equals", "line 1 of"),
        ("group.id=x", 'option "group.id" is set by this connector'),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_file_is_an_error_when_a_client_is_made(
    tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "client.properties"
    if text is not None:
        path.write_text(text)
    with pytest.raises(wallaroo.SourceError, match=said) as raised:
        options({}, path).client_options({})
    assert raised.value.hint


def test_options_are_not_a_part_of_what_is_compared() -> None:
    same: Mapping[str, Any] = {"sasl.password": "one"}
    assert repr(options(same)) == repr(options({}))


def test_a_function_that_gives_tokens_reaches_the_client_and_build_does_not_call_it() -> None:
    def token(_config: str) -> Any:
        raise AssertionError("build must not ask for a token")

    given = {"sasl.mechanisms": "OAUTHBEARER", "oauth_cb": token}
    assert mistakes({"security.protocol": "SASL_SSL", **given}) == []
    assert options(given).client_options({})["oauth_cb"] is token
    assert mistakes({"oauth_cb": "token"}) == [
        'the value of option "oauth_cb" is an object of str; give a function'
    ]
    assert mistakes({"stats_cb": token}) == [
        'the value of option "stats_cb" is an object of function; give a text or number'
    ]
