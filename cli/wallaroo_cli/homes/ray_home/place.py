"""Which Ray, and which application on it, a value of ``--on ray…`` means."""

from dataclasses import dataclass

from wallaroo.errors import ConfigError

NEW = "new"
FORMS = (
    "give ray, ray://HOST:10001 or ray:new; for wallaroo-cluster also ray:APPLICATION or "
    "ray://HOST:10001/APPLICATION"
)


@dataclass(frozen=True, slots=True)
class RayPlace:
    """A Ray cluster, and one application that runs there."""

    address: str = ""
    """Of Ray's client, ``ray://HOST:PORT``; empty for that of RAY_ADDRESS or of this machine."""
    application: str = ""
    """Empty for the only one."""
    is_new: bool = False
    """Whether to start a Ray for this run alone."""


def parse_place(rest: str) -> RayPlace:
    """Return the place; ``rest`` follows ``ray:``. Raises ``ConfigError``."""
    if rest == NEW:
        return RayPlace(is_new=True)
    if not rest.startswith("//"):
        return RayPlace(application=rest)
    host, _, application = rest.removeprefix("//").partition("/")
    name, _, port = host.rpartition(":")
    if not name or not port.isdecimal():
        raise ConfigError(f"--on: {'ray:' + rest!r} has no host and port", hint=FORMS)
    return RayPlace(address=f"ray://{host}", application=application)
