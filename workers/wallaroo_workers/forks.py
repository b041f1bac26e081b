"""What a process that user code forks inherits of ours: nothing that it could break or keep.

``multiprocessing.Pool`` and ``ProcessPoolExecutor`` copy the whole process, and so would a copy
hold our listening sockets (the kernel goes on giving it connections that nobody accepts), the
connections of senders, locks and journals, and the descriptor through which signals wake the event
loop: a SIGTERM for the copy would arrive here. Descriptors of ours therefore become the null device
in the child. They are not closed: objects of the copied process still know their numbers, and
would close or write to whatever the child opens under the same number.

Children of ``subprocess`` need none of this, since no descriptor of ours survives an exec.
"""

import contextlib
import ctypes
import os
import signal
import stat
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NoReturn, Protocol, TypeVar

import uvloop

from wallaroo_workers.logs import get_logger

log = get_logger()


class HasFileno(Protocol):
    """An open file or socket."""

    def fileno(self) -> int:
        """Return its descriptor."""
        ...


Open = TypeVar("Open", bound="int | HasFileno")
Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1
_HELD_BACK = {signal.SIGTERM, signal.SIGINT}


class _Fork(threading.local):
    """The fork that is under way in this thread."""

    is_copy = True
    """Not so if the child becomes another program at once."""
    is_main = False
    """Whether the main thread forks."""
    mask: set[int | signal.Signals] | None = None
    """The signals to hold back afterwards; ``None``: nothing was changed."""


class _Guard:
    """The state of this process; a child keeps a copy of it that does nothing any more."""

    def __init__(self) -> None:
        self.is_on = False
        self.is_registered = False
        """Whether Python calls our functions at each fork, which cannot be undone."""
        self.guest_count = 0
        """Clusters that run in a process of the user's, whose handlers of signals stay."""
        self.loops: list[uvloop.Loop] = []
        self.descriptors: dict[int, tuple[int, int]] = {}
        """Ours, with device and inode: a number that was closed may be the user's by now."""
        self.fork = _Fork()
        self.pid = os.getpid()
        self.prctl: Callable[..., int] | None = None
        self.is_child = False
        self.when_copied: Callable[[], None] | None = None
        """Called in each child."""


_guard = _Guard()


def guard_forks() -> None:
    """Guard all forks from now on; call it before any code of the application runs."""
    if _guard.is_on:
        return
    _guard.is_on, _guard.pid = True, os.getpid()
    if _guard.is_registered:
        return
    _guard.is_registered = True
    # Looked up here, since the child should do as little as possible.
    _guard.prctl = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


@contextlib.contextmanager
def guest() -> Iterator[None]:
    """Guard all forks in this block; the process and its signals belong to the user."""
    is_own = _guard.is_on and not _guard.guest_count
    guard_forks()
    if is_own:
        yield
        return
    _guard.guest_count += 1
    try:
        yield
    finally:
        _guard.guest_count -= 1
        _guard.is_on = _guard.guest_count > 0


def ours(opened: Open) -> Open:
    """Keep a descriptor from children that user code forks; return what was given.

    Connections and listeners of the event loop are known without it.
    """
    descriptor = opened if isinstance(opened, int) else opened.fileno()
    _guard.descriptors[descriptor] = _identity(descriptor)
    return opened


def when_copied(callback: Callable[[], None]) -> None:
    """Call ``callback`` in each child; it has to keep the child from working on."""
    _guard.when_copied = callback


@contextlib.contextmanager
def starting_program() -> Iterator[None]:
    """Leave alone what this thread forks in this block: another program follows at once.

    uvloop starts processes in a way in which Python's functions for forks are called.
    """
    _guard.fork.is_copy = False
    try:
        yield
    finally:
        _guard.fork.is_copy = True


def end_returned_child() -> NoReturn:
    """End a child that came back from the function of the application in which it was made.

    It must not get as far as the event loop, part of whose memory it shares with the parent
    (io_uring): the parent would abort.
    """
    log.error(
        "fork.returned",
        pid=os.getpid(),
        hint="a child made by os.fork() has to end by os._exit(); or use multiprocessing",
        next="the child ends; the worker goes on",
    )
    os._exit(1)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run ``work`` on an event loop whose descriptors stay here.

    Unless the process is the user's, it ends afterwards.
    """
    if _guard.is_child:
        # The application forked when it was imported.
        work.close()
        end_returned_child()
    return uvloop.run(_keeping_waker(work), loop_factory=_new_loop)


async def _keeping_waker(work: Coroutine[Any, Any, Result]) -> Result:
    """Keep the descriptor through which signals wake the loop, and no signal after ``work``.

    A child cannot ask for the descriptor: from Python 3.12 on, asyncio has already taken it away
    there.
    """
    if threading.current_thread() is threading.main_thread():
        waker = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        ours(waker)
    if _guard.guest_count:
        return await work
    try:
        return await work
    finally:
        # The status is decided. Closing the loop gives these signals their default meaning back,
        # and a service manager's SIGTERM in the last moment would turn a clean end into -15.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)


def _new_loop() -> uvloop.Loop:
    before = _open_descriptors()
    loop = uvloop.new_event_loop()
    for descriptor in _open_descriptors() - before:
        # Another thread may have closed what it had open for a moment.
        with contextlib.suppress(OSError):
            ours(descriptor)
    _guard.loops = [*(each for each in _guard.loops if not each.is_closed()), loop]
    return loop


def _before() -> None:
    """Let no signal come between the fork and the moment from which the child has its own."""
    fork = _guard.fork
    fork.is_main = threading.current_thread() is threading.main_thread()
    fork.mask = None
    if _guard.is_on and _guard.loops and fork.is_copy:
        # Without the loop, Ctrl-C is an exception, which must not be raised in here.
        fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)


def _in_parent() -> None:
    if _guard.fork.mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _guard.fork.mask)


def _in_child() -> None:
    fork, parent = _guard.fork, _guard.pid
    if not (_guard.is_on and fork.is_copy):
        return
    # Children of this child are none of ours.
    _guard.is_on, _guard.is_child = False, True
    signal.set_wakeup_fd(-1)
    if not _guard.guest_count:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _give_up_descriptors()
    if _guard.when_copied is not None:
        _guard.when_copied()
    if fork.is_main and not _guard.guest_count:
        _end_with(parent)
    if fork.mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, fork.mask)


def _end_with(parent: int) -> None:
    """Make the system end this process when its parent ends, however that happens.

    Only for children of the main thread: the system means the thread that forked, and a thread of
    the user's may end long before its children do.
    """
    if _guard.prctl is not None:
        _guard.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def _give_up_descriptors() -> None:
    """Replace all descriptors of ours by the null device."""
    found = set()
    for descriptor, identity in _guard.descriptors.items():
        with contextlib.suppress(OSError):  # closed long ago
            if _identity(descriptor) == identity:
                found.add(descriptor)
    loops = [each for each in _guard.loops if not each.is_closed()]
    for loop in loops:
        found |= _polled(loop)
    found |= _copies_of_sockets(found) | _pollers()
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in found:
        os.dup2(null, descriptor, inheritable=False)
    # Only now: what is polled must not be asked for, which would end the polling in the parent.
    for descriptor in _open_descriptors() - found:
        if any(_has_transport(loop, descriptor) for loop in loops):
            os.dup2(null, descriptor, inheritable=False)
    os.close(null)


def _copies_of_sockets(found: set[int]) -> set[int]:
    """Return other descriptors of the same sockets."""
    sockets = {_identity(each) for each in found if stat.S_ISSOCK(os.fstat(each).st_mode)}
    return {each for each in _open_descriptors() if _identity(each) in sockets}


def _pollers() -> set[int]:
    """Return all epoll instances, those of libraries too.

    They are shared with the parent, so all that a child can do with one is harm.
    """
    found = set()
    for descriptor in _open_descriptors():
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{descriptor}") == "anon_inode:[eventpoll]":
                found.add(descriptor)
    return found


def _polled(loop: uvloop.Loop) -> set[int]:
    """Return what the event loop waits for: listeners, connections, its own channels."""
    try:
        # The stubs lack it.
        backend = loop._get_backend_id()  # type: ignore[attr-defined]
        with open(f"/proc/self/fdinfo/{backend}", encoding="ascii") as facts:
            lines = [line.split() for line in facts]
    except OSError:
        return set()  # not Linux
    return {int(line[1]) for line in lines if line[0] == "tfd:"}


def _has_transport(loop: uvloop.Loop, descriptor: int) -> bool:
    """Return whether a connection of the loop has this descriptor, one that is not read included.

    Event loops refuse ``remove_reader`` for these, and do nothing for the others.
    """
    try:
        loop.remove_reader(descriptor)
    except RuntimeError:
        return True
    return False


def _open_descriptors() -> set[int]:
    found = set()
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # one was open only to list the others
                os.fstat(int(name))
                found.add(int(name))
    return found


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
