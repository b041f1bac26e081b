"""Names of our actors on Ray."""

NAMESPACE = "wallaroo"
PREFIX = "wallaroo:"
SEPARATOR = "/"


def manager_name(application: str) -> str:
    """Return the name of the actor that manages an application."""
    return PREFIX + application


def host_name(application: str, host: str) -> str:
    """Return the name of the actor that is a host of an application."""
    return f"{PREFIX}{application}{SEPARATOR}{host}"


def applications(actors: list[str]) -> list[str]:
    """Return the applications whose managers are among these actors."""
    names = (name.removeprefix(PREFIX) for name in actors if name.startswith(PREFIX))
    return sorted(name for name in names if SEPARATOR not in name)


def hosts_of(application: str, actors: list[str]) -> list[str]:
    """Return the hosts of an application that are among these actors."""
    before = host_name(application, "")
    return sorted(name.removeprefix(before) for name in actors if name.startswith(before))
