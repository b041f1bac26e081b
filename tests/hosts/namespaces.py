"""Several hosts on one machine: network namespaces with addresses and links of their own.

All of them hang on one bridge, in a namespace too, so nothing here touches the machine's own
network. Loss is made by a filter in the kernel that drops packets at random as they come in.
"""

import concurrent.futures
import contextlib
import ctypes
import itertools
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator

CLONE_NEWNET = 0x40000000
DROPS_PERCENT = "5,32 0 0 4294963256,148 0 0 100,53 1 0 {percent},6 0 0 2,6 0 0 0"
"""Classic BPF: of a random number, the remainder by 100; drop if below the percentage, else pass.

netem would do it too, but is not in every kernel.
"""

_numbers = itertools.count(1)


class Host:
    """One namespace."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address

    @property
    def before(self) -> list[str]:
        """What a command is run under to run there."""
        return ["ip", "netns", "exec", self.name]

    def connect(self, address: tuple[str, int], timeout_s: float) -> socket.socket:
        """Open a connection from this host."""
        # A socket stays in the namespace in which it was made; only that thread goes there.
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            return thread.submit(self._connect, address, timeout_s).result()

    def _connect(self, address: tuple[str, int], timeout_s: float) -> socket.socket:
        with open(f"/run/netns/{self.name}") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"no way into {self.name}")
        return socket.create_connection(address, timeout_s)

    def cut(self) -> None:
        """Remove the link: nothing comes in or goes out, and no peer is notified."""
        run(*self.before, "ip", "link", "set", "eth0", "down")

    def heal(self) -> None:
        """Have the link again."""
        run(*self.before, "ip", "link", "set", "eth0", "up")

    def lose(self, percent: int) -> None:
        """Lose so many percent of the packets that come in."""
        run(*self.before, "tc", "qdisc", "add", "dev", "eth0", "clsact")
        bytecode = DROPS_PERCENT.format(percent=percent)
        run(*self.before, "tc", "filter", "add", "dev", "eth0", "ingress", "bpf", "da",
            "bytecode", bytecode)  # fmt: skip


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


@contextlib.contextmanager
def hosts(*names: str) -> Iterator[list[Host]]:
    """So many hosts that reach each other; removed afterwards."""
    label = f"{os.getpid()}-{next(_numbers)}"
    hub = f"wallaroo-{label}-hub"
    made = [
        Host(f"wallaroo-{label}-{name}", f"10.99.0.{number}")
        for number, name in enumerate(names, start=1)
    ]
    try:
        run("ip", "netns", "add", hub)
        run("ip", "-n", hub, "link", "add", "bridge0", "type", "bridge")
        run("ip", "-n", hub, "link", "set", "bridge0", "up")
        for number, host in enumerate(made):
            port = f"port{number}"
            run("ip", "netns", "add", host.name)
            run("ip", "-n", hub, "link", "add", port, "type", "veth", "peer", "name", "eth0",
                "netns", host.name)  # fmt: skip
            run("ip", "-n", hub, "link", "set", port, "master", "bridge0", "up")
            run("ip", "-n", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
            run("ip", "-n", host.name, "link", "set", "eth0", "up")
            run("ip", "-n", host.name, "link", "set", "lo", "up")
        yield made
    finally:
        for name in [hub, *(host.name for host in made)]:
            with contextlib.suppress(OSError):
                run("ip", "netns", "del", name)


def why_not() -> str:
    """Say why there can be no namespaces here; empty where there can."""
    if missing := [tool for tool in ("ip", "tc") if shutil.which(tool) is None]:
        return f"there is no {missing[0]} here (Debian: apt-get install iproute2)"
    try:
        with hosts("one") as [host]:
            host.lose(5)
    except OSError as error:
        return f"namespaces with packet loss need root and kernel support: {error}"
    return ""
