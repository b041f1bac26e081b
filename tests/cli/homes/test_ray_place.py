"""Which Ray and which application a value of ``--on`` means, and names of actors."""

import pytest

from wallaroo.errors import ConfigError
from wallaroo_cli.homes.home import home_named
from wallaroo_cli.homes.ray_home.names import applications, host_name, hosts_of, manager_name
from wallaroo_cli.homes.ray_home.place import RayPlace, parse_place


@pytest.mark.parametrize(
    ("rest", "place"),
    [
        ("", RayPlace()),
        ("new", RayPlace(is_new=True)),
        ("totals", RayPlace(application="totals")),
        ("//head:10001", RayPlace(address="ray://head:10001")),
        ("//head:10001/totals", RayPlace(address="ray://head:10001", application="totals")),
        ("//[::1]:10001/a b", RayPlace(address="ray://[::1]:10001", application="a b")),
    ],
)
def test_places(rest: str, place: RayPlace) -> None:
    assert parse_place(rest) == place


@pytest.mark.parametrize("rest", ["//", "//head", "//:10001", "//head:port"])
def test_a_place_without_host_and_port_is_a_mistake(rest: str) -> None:
    with pytest.raises(ConfigError, match="has no host and port"):
        parse_place(rest)


def test_a_home_is_found_by_its_name_and_others_are_mistakes() -> None:
    assert home_named("ray:new") is not None
    with pytest.raises(ConfigError, match="there is no home 'rai'"):
        home_named("rai")
    with pytest.raises(ConfigError, match="there is no home ''"):
        home_named("")


def test_actors_are_found_by_the_names_of_their_applications() -> None:
    actors = [manager_name("a"), host_name("a", "h1"), host_name("a", "h2"), manager_name("b"), "x"]
    assert applications(actors) == ["a", "b"]
    assert hosts_of("a", actors) == ["h1", "h2"]
    assert hosts_of("b", actors) == []
