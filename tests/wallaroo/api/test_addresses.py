from typing import Any

import pytest

from wallaroo import WallarooParameterError, tcp_parse_input_addrs, tcp_parse_output_addrs
from wallaroo.api.addresses import is_host, parse_port


@pytest.mark.parametrize(
    "args",
    [
        ["app", "--in", "a:1,b:2"],
        ["app", "-i", "a:1,b:2"],
        ["app", "--in=a:1,b:2"],
        ["app", "--other", "--flag=x", "-i", "a:1, b:2", "--out", "c:3"],
        ["app", "--in", "z:9", "--in", "a:1,b:2"],
    ],
)
def test_input_addresses_are_pairs_of_strings(args: list[str]) -> None:
    assert tcp_parse_input_addrs(args) == [("a", "1"), ("b", "2")]


def test_output_addresses_have_an_option_of_their_own() -> None:
    args = ["app", "--in", "a:1", "-o", "[::1]:5555"]
    assert tcp_parse_output_addrs(args) == [("[::1]", "5555")]
    assert tcp_parse_output_addrs(["app", "--out=a:1"]) == [("a", "1")]


def test_an_option_that_only_begins_like_ours_is_passed_over() -> None:
    assert tcp_parse_input_addrs(["app", "-iterations", "3", "--inputs", "x", "-i", "a:1"]) == [
        ("a", "1")
    ]


def test_a_missing_option_is_told_with_an_example() -> None:
    with pytest.raises(WallarooParameterError) as caught:
        tcp_parse_input_addrs(["app", "--out", "a:1"])
    assert str(caught.value) == "the option -i/--in is missing; give it as --in 127.0.0.1:7010"
    with pytest.raises(WallarooParameterError, match="-o/--out is missing"):
        tcp_parse_output_addrs([])


@pytest.mark.parametrize(
    "value", ["", "a", "a:", ":1", "a:b", "a:1,", "a:1,,b:2", "a:65536", "a:-1", "::1:70", "a:1:2"]
)
def test_a_malformed_address_is_told_with_an_example(value: str) -> None:
    with pytest.raises(WallarooParameterError, match=r"not HOST:PORT; give it as --out "):
        tcp_parse_output_addrs(["app", "--out", value])


@pytest.mark.parametrize("args", [["app", "--in"], ["app", "--in", "--out", "a:1"]])
def test_an_option_without_value_is_malformed(args: list[str]) -> None:
    with pytest.raises(WallarooParameterError, match="-i/--in has ''"):
        tcp_parse_input_addrs(args)


@pytest.mark.parametrize(
    ("port", "number"),
    [
        (7010, 7010),
        ("7010", 7010),
        ("0", 0),
        (65535, 65535),
        (65536, None),
        ("65536", None),
        (-1, None),
        ("-1", None),
        ("", None),
        ("\N{ARABIC-INDIC DIGIT THREE}", None),
        (True, None),
        (1.0, None),
        ("9" * 9, None),
    ],
)
def test_a_port_is_a_number_or_its_digits(port: Any, number: int | None) -> None:
    assert parse_port(port) == number


@pytest.mark.parametrize(
    ("host", "is_sound"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("[::1]", True),
        ("", False),
        ("[]", False),
        ("a b", False),
        ("::1", False),
        ("[::1", False),
        ("a,b", False),
    ],
)
def test_a_host_is_one_word_and_ipv6_stands_in_brackets(host: str, is_sound: bool) -> None:
    assert is_host(host) is is_sound
