"""What can go wrong, as errors that say what happened and what to do.

    WallarooError(what, hint)            exit code 1
    ├── ConfigError                      exit code 2: the user can mend it
    │   └── WallarooParameterError       a mistake in how an application is put together
    ├── FramingError                     bytes from a stranger that are no frame
    ├── ProtocolError                    two of our processes do not understand each other
    └── ClusterError                     a process, port or sink the run cannot go on without

A bug of ours is none of these: it stays an ``AssertionError`` or what Python made of it.
"""

from collections.abc import Sequence


class WallarooError(Exception):
    """What happened, and in ``hint`` what to do about it."""

    exit_code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class ConfigError(WallarooError):
    """Something the user wrote on the command line or in the application is wrong."""

    exit_code = 2


class WallarooParameterError(ConfigError):
    """One or more mistakes in an application; ``mistakes`` has a sentence for each."""

    def __init__(self, mistakes: str | Sequence[str]) -> None:
        self.mistakes = (mistakes,) if isinstance(mistakes, str) else tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class FramingError(WallarooError):
    """A stream of bytes holds something that cannot be a frame."""


class ProtocolError(WallarooError):
    """A peer sent what this release does not understand, or what it must not send."""


class ClusterError(WallarooError):
    """The run cannot start, or cannot go on."""
