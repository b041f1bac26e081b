"""Errors that say what happened and what to do.

    WallarooError(what, hint)            exit code 1
    ├── ConfigError                      exit code 2: the user can correct it
    │   └── WallarooParameterError       a mistake in the wiring of an application
    ├── FramingError                     bytes of a sender that are not a frame
    ├── ProtocolError                    two of our processes do not understand each other
    │   ├── OtherProtocolError           because one is another program, or another release
    │   └── OtherSecretError             because they have different secrets
    ├── ClusterError                     a process, port or sink that the run needs has failed
    ├── StateObjectError                 a state object that cannot be saved or restored
    ├── DamagedFileError                 a file of ours that was changed after it was written
    ├── StoreError                       a store or a folder cannot be read or written
    │   ├── AlreadyExistsError           an object of that name exists already
    │   └── MissingObjectError           no object of that name exists
    └── FencedError                      another initializer has taken over these checkpoints

A bug of ours is not among these: it stays an ``AssertionError``, or the error that Python raised.
"""

from collections.abc import Callable, Sequence

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
    """Says what happened, and in ``hint`` what to do about it.

    Its text is ``what``, and commands print both. A traceback has the hint as a note.
    """

    exit_code = ExitStatus.FAILED

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what: str = what
        self.hint: str = hint
        if hint:
            self.add_note(f"hint: {hint}")

    def reword(self, change: Callable[[str], str]) -> None:
        """Replace its texts by what ``change`` returns for them."""
        self.what = change(self.what)
        self.hint = change(self.hint)
        Exception.__init__(self, self.what)
        notes: list[str] = getattr(self, "__notes__", [])
        notes[:] = [change(note) for note in notes]


class ConfigError(WallarooError):
    """The command line or the application has a mistake."""

    exit_code = ExitStatus.MISTAKE


class WallarooParameterError(ConfigError):
    """One or more mistakes in an application; ``mistakes`` has a sentence for each."""

    def __init__(self, mistakes: str | Sequence[str]) -> None:
        self.mistakes: tuple[str, ...] = (
            (mistakes,) if isinstance(mistakes, str) else tuple(mistakes)
        )
        super().__init__("\n".join(self.mistakes))


class FramingError(WallarooError):
    """A stream of bytes contains something that cannot be a frame."""


class ProtocolError(WallarooError):
    """A peer sent something that this release does not understand or does not allow."""


class OtherProtocolError(ProtocolError):
    """The peer is another program, or another release."""


class OtherSecretError(ProtocolError):
    """The peer does not know our secret."""


class ClusterError(WallarooError):
    """The run cannot start, or cannot go on."""


class StateObjectError(WallarooError):
    """A state object of the application cannot be pickled, or its pickle cannot be read."""


class DamagedFileError(WallarooError):
    """``file`` was changed after it was written, at byte ``offset``, or is not a file of ours."""

    def __init__(self, file: str, offset: int, damage: str, hint: str = "") -> None:
        super().__init__(f"{file}, byte {offset}: {damage}", hint)
        self.file = file
        self.offset = offset
        self.damage = damage


class StoreError(WallarooError):
    """A store of checkpoints or a folder of journals cannot be read or written now.

    ``is_refusal`` means that a write was refused, so certainly nothing was written. Without it, a
    failed write may still have succeeded, or succeed later.
    """

    def __init__(self, what: str, hint: str = "", *, is_refusal: bool = False) -> None:
        super().__init__(what, hint)
        self.is_refusal = is_refusal


class AlreadyExistsError(StoreError):
    """An object that should be created exists already, or is being created by another writer."""


class MissingObjectError(StoreError):
    """An object that should be read does not exist."""


class FencedError(WallarooError):
    """Another run goes on with these checkpoints, so this run must stop."""
