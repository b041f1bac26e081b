"""Who may see the page and act on the cluster."""

import pytest

from wallaroo_workers.dashboard.access import Access, is_loopback

SECRET = b"\x00\xffa secret"


def access(host: str = "127.0.0.1", *names: str) -> Access:
    return Access(host, names, SECRET)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:4000", "localhost", "LOCALHOST:80", "[::1]:4000", "127.0.0.2:1"]
)
def test_this_machine_is_known_by_its_own_names(host: str) -> None:
    assert access().knows_host(host)


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "127.0.0.1.evil.example", "10.0.0.7:4000", "[::1", "a b"]
)
def test_other_names_are_not_known(host: str | None) -> None:
    assert not access().knows_host(host)


def test_names_can_be_allowed() -> None:
    assert access("127.0.0.1", "Box.Internal").knows_host("box.internal:4000")


def test_who_listens_everywhere_is_known_by_every_address_but_by_no_name() -> None:
    assert access("0.0.0.0").knows_host("10.0.0.7:4000")
    assert access("::").knows_host("[fe80::1]:4000")
    assert not access("0.0.0.0").knows_host("evil.example")


def test_who_listens_at_an_address_is_known_by_it() -> None:
    assert access("10.0.0.7").knows_host("10.0.0.7:4000")
    assert not access("10.0.0.7").knows_host("10.0.0.8:4000")


def test_reading_is_open_on_this_machine_only() -> None:
    assert access("127.0.0.1").reading_is_open
    assert access("::1").reading_is_open
    assert not access("0.0.0.0").reading_is_open
    assert not access("10.0.0.7").reading_is_open
    assert is_loopback("localhost")
    assert not is_loopback("box.internal")


def test_the_secret_is_taken_as_it_is_and_in_hexadecimal() -> None:
    assert access().has_secret(f"Bearer {SECRET.hex()}")
    assert Access("::1", (), b"correct horse").has_secret("Bearer correct horse")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer wrong", "bearer", "Bearer ü"]
)
def test_anything_else_is_not_a_secret(header: str | None) -> None:
    assert not access().has_secret(header)


@pytest.mark.parametrize(
    ("origin", "is_same"),
    [
        (None, True),
        ("http://127.0.0.1:4000", True),
        ("http://127.0.0.1:4001", False),
        ("http://evil.example", False),
        ("null", False),
    ],
)
def test_only_our_own_page_may_ask(origin: str | None, is_same: bool) -> None:
    assert access().is_same_origin(origin, "127.0.0.1:4000") is is_same
