"""What can go wrong, as errors that say what happened and what to do.

    WallarooError(what, hint)            exit code 1
    ├── ConfigError                      exit code 2: the user can mend it
    │   └── WallarooParameterError       a mistake in how an application is put together
    ├── FramingError                     bytes from a stranger that are no frame
    ├── ProtocolError                    two of our processes do not understand each other
    │   ├── OtherProtocolError           since one is another program, or another release
    │   └── OtherSecretError             since they have not the same secret
    ├── ClusterError                     a process, port or sink the run cannot go on without
    ├── StateObjectError                 state that cannot be saved, or not be made again
    ├── DamagedFileError                 a file of ours that is not as it was written
    ├── StoreError                       files cannot be read or written where they are kept
    │   ├── AlreadyExistsError           an object of that name is there already
    │   └── MissingObjectError           there is no object of that name
    └── FencedError                      another initializer has taken over these checkpoints

A bug of ours is none of these: it stays an ``AssertionError`` or what Python made of it.
"""

from collections.abc import Sequence

from wallaroo.statuses import ExitStatus

__all__ = [
    "AlreadyExistsError",
    "ClusterError",
    "ConfigError",
    "DamagedFileError",
    "FencedError",
    "FramingError",
    "MissingObjectError",
    "OtherProtocolError",
    "OtherSecretError",
    "ProtocolError",
    "StateObjectError",
    "StoreError",
    "WallarooError",
    "WallarooParameterError",
]


class WallarooError(Exception):
    """What happened, and in ``hint`` what to do about it."""

    exit_code = ExitStatus.FAILED

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class ConfigError(WallarooError):
    """Something the user wrote on the command line or in the application is wrong."""

    exit_code = ExitStatus.MISTAKE


class WallarooParameterError(ConfigError):
    """One or more mistakes in an application; ``mistakes`` has a sentence for each."""

    def __init__(self, mistakes: str | Sequence[str]) -> None:
        self.mistakes: tuple[str, ...] = (
            (mistakes,) if isinstance(mistakes, str) else tuple(mistakes)
        )
        super().__init__("\n".join(self.mistakes))


class FramingError(WallarooError):
    """A stream of bytes holds something that cannot be a frame."""


class ProtocolError(WallarooError):
    """A peer sent what this release does not understand, or what it must not send."""


class OtherProtocolError(ProtocolError):
    """The peer is another program, or another release."""


class OtherSecretError(ProtocolError):
    """The peer does not know our secret."""


class ClusterError(WallarooError):
    """The run cannot start, or cannot go on."""


class StateObjectError(WallarooError):
    """A state object of the application cannot be pickled, or its pickle not be read."""


class DamagedFileError(WallarooError):
    """``file`` is not as it was written, from byte ``offset`` on, or is no file of ours."""

    def __init__(self, file: str, offset: int, damage: str, hint: str = "") -> None:
        super().__init__(f"{file}, byte {offset}: {damage}", hint)
        self.file = file
        self.offset = offset
        self.damage = damage


class StoreError(WallarooError):
    """A store of checkpoints or a folder of journals cannot be read or written now.

    ``is_refusal`` tells that a write was refused, so that certainly nothing was written; without
    it a write that failed may still have been done, or be done later.
    """

    def __init__(self, what: str, hint: str = "", *, is_refusal: bool = False) -> None:
        super().__init__(what, hint)
        self.is_refusal = is_refusal


class AlreadyExistsError(StoreError):
    """An object that was to be created is there, or is being created, by whomever."""


class MissingObjectError(StoreError):
    """An object that was to be read is not there."""


class FencedError(WallarooError):
    """Somebody else goes on with these checkpoints; whoever gets this must stop."""
