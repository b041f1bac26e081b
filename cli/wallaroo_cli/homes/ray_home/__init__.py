"""Ray as a home: detached actors run the initializer and one agent each.

    wallaroo-run --on ray...            the driver: may end with --detach
       +- Manager  a detached actor: runs the initializer, keeps as many hosts as are wanted
       +- Host ... detached actors: each runs one agent, whose worker is its child

Ray imports much and starts threads, so it is imported when a function needs it, never by a module.
"""

from wallaroo_cli.homes.home import Home


def open_home(rest: str) -> Home:
    """Return the Ray that ``--on ray`` and this text after it mean. Raises ``ConfigError``."""
    from wallaroo_cli.homes.ray_home.driver import RayHome
    from wallaroo_cli.homes.ray_home.place import parse_place

    return RayHome(parse_place(rest))
