import pytest

from wallaroo.errors import ConfigError
from wallaroo_cli.tools.addresses import Address, parse_address, parse_addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7010", Address("127.0.0.1", 7010)),
        (" localhost:0 ", Address("localhost", 0)),
        ("[::1]:7010", Address("::1", 7010)),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, address: Address) -> None:
    assert parse_address(text, "--host") == address
    assert str(address) == text.strip()


@pytest.mark.parametrize(
    "text", ["", "7010", ":7010", "a:", "a:b", "a:65536", "a:" + 5000 * "9", "::1:7", "[]:1"]
)
def test_a_value_that_is_not_an_address_is_named_with_its_option(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--host .* is not an address"):
        parse_address(text, "--host")


def test_repeated_options_and_lists_with_commas_are_one_list() -> None:
    addresses = parse_addresses(["a:1,b:2", "c:3"], "--host")
    assert [str(address) for address in addresses] == ["a:1", "b:2", "c:3"]
