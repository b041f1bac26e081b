"""Options of Kafka clients: those of the user, those that are ours, and secrets.

The user's options are passed to librdkafka as they are. ``${env:NAME}`` in a value stands for an
environment variable. It is replaced only when a client is made, so a secret is never in anything
that is printed, compared or stored: an object of this module shows no values at all.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import wallaroo

INSTALL: Final = 'install it on every host: pip install "wallaroo-streams[kafka]"'
MASK: Final = "***"

Plain = str | int | float | bool
OptionValue = Plain | Callable[..., Any]
"""``oauth_cb`` is the one option that is a function."""
FUNCTIONS: Final = ("oauth_cb",)
NO_OPTIONS: Mapping[str, OptionValue] = MappingProxyType({})

_ENVIRONMENT = re.compile(r"\$\{env:([^}]*)\}")
_SCHEME = re.compile(r"^\w+://")
_RESOLVED = re.compile(r"ipv[46]#\S+")
_PORT = re.compile(r":\d+$")
_OF_CONFIG = {
    "bootstrap.servers": "give bootstrap= instead",
    "metadata.broker.list": "give bootstrap= instead",
}
_SECRETS = ("password", "secret", "sasl.oauthbearer.config", "key.pem", "credentials")
"""Options with one of these in their name never appear in an error, even if given literally."""


@dataclass(frozen=True, slots=True)
class Role:
    """What differs between the clients of a source and those of a sink."""

    error: type[wallaroo.SourceError | wallaroo.SinkError]
    """What ends the run, because trying again cannot help."""
    client: str
    """The class of the client library that checks options."""
    rights: str
    unknown_topic: str
    """What to do if there is no such topic."""


SOURCE: Final = Role(
    wallaroo.SourceError,
    "Consumer",
    "READ and DESCRIBE",
    "create the topic, or correct topics= and bootstrap=",
)
SINK: Final = Role(
    wallaroo.SinkError,
    "Producer",
    "WRITE and DESCRIBE",
    "create the topic, or give create_topic=, or correct topic= and bootstrap=",
)


class ClientOptions:
    """The options of the clients of one source or sink.

    ``refused`` maps an option that is ours to a sentence that says what to use instead. A name in
    it that ends with ``*`` stands for all options that start with the rest.
    """

    def __init__(
        self,
        bootstrap: str,
        options: Mapping[str, OptionValue] | None,
        options_file: str | os.PathLike[str] | None,
        refused: Mapping[str, str],
        role: Role = SOURCE,
    ) -> None:
        self.role = role
        self._bootstrap = bootstrap
        self._options: Any = NO_OPTIONS if options is None else options
        self._path = options_file
        self._refused = {**_OF_CONFIG, **refused}

    def __repr__(self) -> str:
        return f"<options of a Kafka client for {self._bootstrap}>"

    def mistakes(self, ours: Mapping[str, Any]) -> Iterator[str]:
        """Yield a sentence for each mistake that is found without the environment or a broker.

        ``ours`` are the options that the connector sets, as for ``client_options``.
        """
        if not isinstance(self._bootstrap, str) or not self._bootstrap.strip():
            yield f"bootstrap is {self._bootstrap!r}; give HOST:PORT of one or more brokers"
        if not isinstance(self._options, Mapping):
            kind = type(self._options).__name__
            yield f"options is an object of {kind}; give a dict of names and values"
            return
        found = [*self._own_mistakes(self._options)]
        yield from found
        if not found:
            options = {**ours, **self._withoutvariables_in()}
            yield from _refused_by_client(options, self.role.client)

    def _withoutvariables_in(self) -> dict[str, OptionValue]:
        """Return the options that can be checked where variables of the environment are not set.

        Functions are left out as well: they would be called, and a token be fetched.

        A client checks options that need each other, such as a password for a mechanism, only for
        the security protocol that it uses. So that is left out if any value is left out.
        """
        plain = {
            name: value
            for name, value in self._options.items()
            if not variables_in(value) and name not in FUNCTIONS
        }
        if len(plain) < len(self._options):
            plain.pop("security.protocol", None)
        return plain

    def _own_mistakes(self, options: Mapping[Any, Any]) -> Iterator[str]:
        for name, value in options.items():
            if not isinstance(name, str):
                yield f"the name of the option {name!r} is not a text; write it in quotes"
            elif (instead := self._instead_of(name)) is not None:
                yield f'option "{name}" is set by this connector; {instead}'
            elif name in FUNCTIONS:
                if not callable(value):
                    kind = type(value).__name__
                    yield f'the value of option "{name}" is an object of {kind}; give a function'
            elif not isinstance(value, Plain):
                kind = type(value).__name__
                yield f'the value of option "{name}" is an object of {kind}; give a text or number'

    def _instead_of(self, name: str) -> str | None:
        for refused, instead in self._refused.items():
            is_it = name.startswith(refused[:-1]) if refused.endswith("*") else name == refused
            if is_it:
                return instead
        return None

    def client_options(self, ours: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a client is made with; ``ours`` gives way to the user's options.

        Raises the error of the role if the file or the environment lacks something.
        """
        given = {**self._from_file(), **self._options}
        for mistake in self._own_mistakes(given):
            what, _, hint = mistake.partition("; ")
            raise self.role.error(what, hint)
        given["bootstrap.servers"] = self._bootstrap
        return {
            **ours,
            **{name: with_environment(name, each, self.role.error) for name, each in given.items()},
        }

    def _from_file(self) -> dict[str, str]:
        if self._path is None:
            return {}
        try:
            text = Path(self._path).read_text("utf-8")
        except (OSError, ValueError) as error:
            raise self.role.error(
                f"the file of Kafka options {os.fspath(self._path)!r} cannot be read: {error}",
                "correct options_file, or the file, on this host",
            ) from error
        return dict(self._lines_of(text, os.fspath(self._path)))

    def _lines_of(self, text: str, path: str) -> Iterator[tuple[str, str]]:
        """Yield the options in a file with lines ``name=value``."""
        for number, line in enumerate(text.splitlines(), 1):
            stripped = line.strip()
            if not stripped or stripped.startswith(("#", "!")):
                continue
            name, equals, value = stripped.partition("=")
            if not equals:
                raise self.role.error(
                    f"line {number} of {path!r} has no '='", "write name=value, or # for a comment"
                )
            yield name.strip(), value.strip()

    def without_secrets(self, text: str) -> str:
        """Return a text of the client library without the values of secrets."""
        try:
            given = {**self._from_file(), **self._options}
        except self.role.error:
            given = dict(self._options)
        secrets = {*_secret_values(given), *address_secrets(self._bootstrap)}
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        # Behind a host that must not be shown the client names its number.
        return _RESOLVED.sub(MASK, text) if variables_in(self._bootstrap) else text


def missing_library() -> str | None:
    """Return a sentence that says what to install; ``None`` if the client library is there."""
    try:
        import confluent_kafka  # noqa: F401  it may be missing until a client is needed
    except ImportError as error:
        return f"the client library confluent-kafka cannot be imported ({error}); {INSTALL}"
    return None


def with_environment(
    name: str, value: OptionValue, error: type[wallaroo.SourceError | wallaroo.SinkError]
) -> OptionValue:
    """Return the value of an option with the variables of the environment that it names.

    Raises ``error`` if one is not set.
    """
    for variable in variables_in(value):
        if variable not in os.environ:
            raise error(
                f'option "{name}" needs the environment variable {variable}, which is not set',
                "set it for wallaroo-run, and for the agents of other hosts",
            )
    if not isinstance(value, str):
        return value
    return _ENVIRONMENT.sub(lambda found: os.environ[found[1]], value)


def variables_in(value: object) -> list[str]:
    """Return the names of the variables of the environment in a value."""
    return _ENVIRONMENT.findall(value) if isinstance(value, str) else []


def address_secrets(given: object) -> Iterator[str]:
    """Yield what no error may show of addresses that are taken from the environment.

    An error names one of several addresses, or its host alone.
    """
    variables = variables_in(given)
    if not isinstance(given, str) or not variables:
        return
    value = _ENVIRONMENT.sub(lambda found: os.environ.get(found[1], ""), given)
    yield from filter(None, [value, *(os.environ.get(each, "") for each in variables)])
    for each in value.split(","):
        address = _SCHEME.sub("", each.strip()).partition("/")[0]
        login, _, place = address.rpartition("@")
        parts = [address, place, _PORT.sub("", place), login, login.partition(":")[2]]
        yield from filter(None, parts)


def _secret_values(options: Mapping[str, OptionValue]) -> Iterable[str]:
    for name, value in options.items():
        for variable in variables_in(value):
            yield os.environ.get(variable, "") or MASK
        if isinstance(value, str) and any(each in name for each in _SECRETS):
            yield _ENVIRONMENT.sub(lambda found: os.environ.get(found[1], ""), value) or MASK


def _refused_by_client(options: dict[str, Any], kind: str) -> Iterator[str]:
    """Yield what librdkafka says of these options; a client without brokers connects nowhere."""
    if missing_library() is not None:
        return
    import confluent_kafka

    ours = {"group.id": "wallaroo"} if kind == "Consumer" else {}
    try:
        getattr(confluent_kafka, kind)({"log_level": 0, **ours, **options})
    except confluent_kafka.KafkaException as error:
        said = str(error.args[0].str())
        yield f"the client refuses the options: {said}; correct options="
    except (TypeError, ValueError) as error:
        yield f"the client refuses the options: {error}; correct options="
