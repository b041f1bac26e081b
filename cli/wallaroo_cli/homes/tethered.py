"""Runs ``wallaroo-run`` as a process that ends with the process that started it.

    python -m wallaroo_cli.homes.tethered PID ARGUMENTS...

An actor may be killed at any time, and nobody would end its children. The kernel does it for us: it
kills this process when the thread that started it ends. Workers end with their agent.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to the one with the number PID, then run the command."""
    parent = int(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        sys.exit(1)  # it ended before the kernel knew of us
    # What Ray blocks in its processes is inherited, and an orderly stop begins with a signal.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    sys.argv[:2] = ["wallaroo-run"]

    from wallaroo_cli.entry import run

    run()


if __name__ == "__main__":
    main()
