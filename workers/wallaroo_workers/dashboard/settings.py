"""Settings of the page, in a module of their own so that using them does not import aiohttp."""

from dataclasses import dataclass

DEFAULT_ADDRESS = "127.0.0.1:4000"


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardSettings:
    """The options of ``wallaroo-run`` for the page."""

    address: str = DEFAULT_ADDRESS
    names: tuple[str, ...] = ()
    """Host names, besides the address and ``localhost``, that browsers may use."""
