"""Asks a running cluster: one connection, one request, its progress and its answer."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from typing import Any

from wallaroo.errors import (
    ClusterError,
    ConfigError,
    OtherProtocolError,
    OtherSecretError,
    WallarooError,
)
from wallaroo.wire.control import ControlFrame
from wallaroo.wire.requests import (
    DONE,
    MISTAKE,
    NO_EPOCH,
    Answer,
    Progress,
    Request,
    from_json,
    to_json,
)
from wallaroo_cli.tools.addresses import Address
from wallaroo_cli.tools.running_clusters import NoClusterError, Target
from wallaroo_workers.control_link import ControlLink, NotOneOfUsError
from wallaroo_workers.network.tls import Tls

END_WAIT_S = 30.0
REQUEST = 1
"""The number of the request; higher numbers are pings."""
PING_EVERY_S = 2.0
UNANSWERED_PINGS_MAX = 5
"""After more than these, the initializer was suspended or its host hangs. A request may take as
long as it needs; a ping may not."""

OnProgress = Callable[[dict[str, Any]], None]


def ask(
    target: Target,
    method: str,
    params: dict[str, Any],
    on_progress: OnProgress = lambda _: None,
    *,
    until_ended: bool = False,
) -> dict[str, Any]:
    """Return the result of a request; with ``until_ended`` wait for the initializer's end, too.

    Raises ``NoClusterError`` if nobody answers, ``ConfigError`` if the request was a mistake,
    ``ClusterError`` if it was refused or the cluster ended meanwhile.
    """
    return asyncio.run(answer_of(target, method, params, on_progress, until_ended=until_ended))


async def answer_of(
    target: Target,
    method: str,
    params: dict[str, Any],
    on_progress: OnProgress = lambda _: None,
    *,
    until_ended: bool = False,
) -> dict[str, Any]:
    """Like ``ask``, on the running event loop."""
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    ended = asyncio.Event()

    def received(frame: ControlFrame) -> None:
        if isinstance(frame, Progress):
            on_progress(from_json(frame.facts))
        elif isinstance(frame, Answer) and frame.request == REQUEST and not answered.done():
            answered.set_result(frame)

    def lost(reason: str) -> None:
        ended.set()
        if not answered.done():
            what = f"the cluster at {target.address} ended before it answered: {reason}"
            answered.set_exception(ClusterError(what))

    link = ControlLink(target.secret, None if target.tls is None else Tls(target.tls))
    await _dial(link, target, received, lost)
    try:
        link.send(Request(NO_EPOCH, REQUEST, method, to_json(params)))
        await _wait(link, target, answered)
        result = _result(answered.result())
        if until_ended:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_WAIT_S):
                    await ended.wait()
        return result
    finally:
        answered.cancel()
        await link.close()


async def _wait(link: ControlLink, target: Target, answered: asyncio.Future[Answer]) -> None:
    """Wait for the answer for as long as the initializer answers pings."""
    silent = 0
    for number in itertools.count(REQUEST + 1):
        byte_count = link.received_bytes
        await asyncio.wait([answered], timeout=PING_EVERY_S)
        if answered.done():
            return
        # A long answer over a slow connection may take longer than a ping.
        silent = silent + 1 if link.received_bytes == byte_count else 0
        if silent > UNANSWERED_PINGS_MAX:
            raise ClusterError(
                f"the cluster at {target.address} has not answered for {silent * PING_EVERY_S:g} s",
                hint="check whether its initializer was suspended; when it resumes, the request "
                "may still be carried out",
            )
        link.send(Request(NO_EPOCH, number, "ping", "{}"))


async def _dial(
    link: ControlLink,
    target: Target,
    received: Callable[[ControlFrame], None],
    lost: Callable[[str], None],
) -> None:
    address = target.address
    try:
        await link.dial(address.host, address.port, received, lost)
    except TimeoutError as error:
        what = f"the process that listens at {address} does not answer"
        raise NoClusterError(
            what, hint="check whether the initializer was suspended, or another program listens"
        ) from error
    except NotOneOfUsError as error:
        raise _refused(address, error.refusal) from error
    except OSError as error:
        # An error without a number has our own reason, not the system's.
        reason = error.strerror or str(error)
        raise NoClusterError(
            f"there is no cluster at {address}: {reason}", hint="check whether it is still running"
        ) from error


def _refused(address: Address, refusal: WallarooError) -> WallarooError:
    match refusal:
        case OtherProtocolError():
            return NoClusterError(
                f"the process that listens at {address} does not speak this release's protocol",
                hint="check whether it is another program, or a cluster of another release",
            )
        case OtherSecretError():
            return ClusterError(
                f"the cluster at {address} has another secret",
                hint="give the secret that it was started with, by --secret-file or the "
                "environment, or go to the folder in which it was started",
            )
    what = f"the cluster at {address} refuses the connection: {refusal.what}"
    return ClusterError(what, refusal.hint)


def _result(answer: Answer) -> dict[str, Any]:
    if answer.kind == DONE:
        return from_json(answer.result)
    kind = ConfigError if answer.kind == MISTAKE else ClusterError
    raise kind(answer.what, answer.hint)
