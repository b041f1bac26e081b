"""Settings of the page, in a module of their own so that using them does not import aiohttp."""

from dataclasses import dataclass

DEFAULT_ADDRESS = "127.0.0.1:4000"


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardSettings:
    """What ``wallaroo-run`` was asked for."""

    address: str = DEFAULT_ADDRESS
    names: tuple[str, ...] = ()
    """Names, besides the address and ``localhost``, by which browsers may ask for it."""
