"""What errors of a run in Python say: keywords, where the command says options."""

import pytest

from wallaroo.api.running import in_keywords
from wallaroo.errors import ClusterError


@pytest.mark.parametrize(
    ("option", "keyword"),
    [
        (
            "the worker w1 ended, and --no-restart is set",
            "the worker w1 ended, and no_restart is set",
        ),
        ("go back with --from-checkpoint 5", "go back with from_checkpoint 5"),
        ("start wallaroo-run with --resilience-dir DIR", "run it with resilience_dir DIR"),
        ("give --tls-cert, --tls-key and --tls-ca", "give tls_cert, tls_key and tls_ca"),
        (
            "wallaroo-cluster keys counts --list shows some",
            "wallaroo-cluster keys counts --list shows some",
        ),
        ("check the address given with --in", "check the address given with --in"),
        ("two words -- no option", "two words -- no option"),
    ],
)
def test_messages_name_keywords_instead_of_options(option: str, keyword: str) -> None:
    assert in_keywords(option) == keyword


def test_an_error_keeps_its_class_and_says_the_same_in_its_traceback() -> None:
    error = ClusterError("--otlp needs a library", hint="leave out --otlp")
    error.reword(in_keywords)
    assert (str(error), error.hint) == ("otlp needs a library", "leave out otlp")
    assert error.__notes__ == ["hint: leave out otlp"]
