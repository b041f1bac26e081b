"""Turns errors of disks and object stores into messages that say how to fix them."""

import errno
import re

from obstore import exceptions

from wallaroo.errors import AlreadyExistsError, MissingObjectError, StoreError

_REFUSALS = {
    errno.EACCES: "allow the user that runs wallaroo to read and write there",
    errno.EPERM: "allow the user that runs wallaroo to read and write there; the file system must "
    "support hard links",
    errno.EROFS: "choose a place on a writable file system",
    errno.ENOSPC: "free some space there; then run the command again",
    errno.EDQUOT: "free some space there, or raise the quota; then run the command again",
    errno.ENOTDIR: "choose a directory, not a file",
    errno.EOPNOTSUPP: "choose a file system that supports hard links",
}
"""Errors after which certainly nothing was written, each with a hint."""

_HINT_DISK = "check the health of the disk and the system's log"

_HINT_UNREACHABLE = "check the store, the network, and for an S3-compatible store AWS_ENDPOINT_URL"
_HINT_CREDENTIALS = (
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they may read, write, list and "
    "delete there"
)
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""How obstore writes the number of an error of the operating system."""


def disk_error(error: OSError, action: str) -> StoreError:
    """Return `error`, met when doing `action` ("write /x/y"), for the user."""
    reason = error.strerror or str(error)
    hint = _REFUSALS.get(error.errno or 0)
    return StoreError(f"cannot {action}: {reason}", hint or _HINT_DISK, is_refusal=hint is not None)


def store_error(error: Exception, action: str) -> StoreError:
    """Return an error of obstore, met when doing `action`, for the user."""
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
        return disk_error(error, action)
    text = str(error).partition("\n\nDebug source:")[0].strip()
    if number := _OS_ERROR.search(text):
        code = int(number[1])
        if code != errno.ENOENT and not isinstance(error, FileNotFoundError):
            return disk_error(OSError(code, text), action)
    what = f"cannot {action}: {text}"
    if "NoSuchBucket" in text:
        return StoreError(what, "create the bucket first, or correct its name", is_refusal=True)
    if isinstance(error, FileNotFoundError):
        return MissingObjectError(what)
    if isinstance(error, exceptions.AlreadyExistsError):
        return AlreadyExistsError(what)
    if _is_denied(error, text):
        return StoreError(what, _HINT_CREDENTIALS, is_refusal=True)
    return StoreError(what, _HINT_UNREACHABLE)


def _is_denied(error: Exception, text: str) -> bool:
    denials = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
    # An error of a listing has no type of its own.
    return isinstance(error, denials) or bool(re.search(r"status code: 40[13]\b", text))
