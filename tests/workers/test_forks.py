"""A process that user code forks has nothing of ours, and signals for it do not arrive here."""

import json
import subprocess
import sys
from typing import Any

PROGRAM = r"""
import asyncio, json, os, selectors, signal, socket, threading
from wallaroo_workers import forks

forks.guard_forks()
forks.guard_forks()  # once is enough
stops = []
told = []


class Far(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        transports.append(transport)

    def data_received(self, data):
        told.append(data)


transports = []


def links():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass
    return found


def in_child(work):
    "Run work in a forked child; return what it returns."
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, json.dumps(work()).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        result = json.loads(file.read() or "null")
    _, status = os.waitpid(pid, 0)
    return result, os.waitstatus_to_exitcode(status)


async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stops.append, "stop")
    server = await loop.create_server(Far, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    near, _ = await loop.create_connection(Far, "127.0.0.1", port)
    silent, _ = await loop.create_connection(Far, "127.0.0.1", port)
    silent.pause_reading()
    waiting = forks.ours(socket.socket())
    gone = forks.ours(socket.socket())
    number = gone.fileno()
    gone.close()
    journal = forks.ours(open("/dev/zero", "rb"))
    theirs = socket.socket()  # the application's, under a number that was ours
    os.dup2(theirs.fileno(), number)
    same = os.dup(waiting.fileno())
    poller = selectors.DefaultSelector()
    await asyncio.sleep(0)
    before = links()
    after, _ = in_child(links)
    after = {int(key): value for key, value in after.items()}
    kept = {key for key, value in after.items() if before.get(key) == value != "/dev/null"}

    def handlers():
        shown = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]
        return [getattr(each, "name", getattr(each, "__name__", None)) for each in shown]

    def wait_for_signal():
        os.kill(os.getpid(), signal.SIGTERM)
        return "lives"

    def grandchild():
        return in_child(lambda: "works")

    found = {
        "ours kept": [
            key for key in kept
            if before[key].startswith(("socket", "anon_inode:[eventpoll]", "/dev/zero"))
            and key not in (theirs.fileno(), number)
        ],
        "theirs kept": {theirs.fileno(), number} <= kept,
        "handlers": in_child(handlers),
        "signal": in_child(wait_for_signal),
        "blocked": in_child(lambda: list(signal.pthread_sigmask(signal.SIG_BLOCK, []))),
        "blocked here": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "grandchild": in_child(grandchild),
    }
    near.write(b"still connected")
    while not told:
        await asyncio.sleep(0)
    found["stops before"] = list(stops)
    os.kill(os.getpid(), signal.SIGTERM)
    while not stops:
        await asyncio.sleep(0)
    pid = os.fork()
    if pid == 0:
        forks.end_returned_child()
    found["returned"] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    from_thread = []
    thread = threading.Thread(target=lambda: from_thread.append(in_child(lambda: "works")))
    thread.start()
    thread.join()
    found["thread"] = from_thread[0]
    await asyncio.sleep(0)
    print(json.dumps(found))
    poller.close()

forks.run(main())
"""


def run(program: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_forked_child_has_its_own_signals_and_none_of_our_descriptors() -> None:
    found = run(PROGRAM)
    assert found["ours kept"] == []
    assert found["theirs kept"]
    assert found["handlers"] == [["SIG_DFL", "default_int_handler", "SIG_DFL"], 0]
    assert found["signal"] == [None, -15]
    assert found["blocked"] == [[], 0]
    assert found["blocked here"] == []
    assert found["grandchild"] == [["works", 0], 0]
    assert found["stops before"] == []
    assert found["returned"] == 1
    assert found["thread"] == ["works", 0]


def test_a_child_ends_with_its_parent_however_that_ends() -> None:
    program = r"""
import os, subprocess, sys, textwrap
parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent('''
    import os, signal, time
    from wallaroo_workers import forks
    forks.guard_forks()
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        print("child", flush=True)
        signal.pause()
    os.close(writing)
    signal.pause()
''')], stdout=subprocess.PIPE)
assert parent.stdout.readline() == b"child\\n"
parent.kill()
print(len(parent.stdout.read()))  # its end: nobody has the other side of the pipe
"""
    assert run(program.replace("\\\\n", "\\n")) == 0


def test_a_copy_made_at_import_does_not_become_a_second_worker() -> None:
    program = r"""
import os
from wallaroo_workers import forks
forks.guard_forks()
pid = os.fork()

async def work():
    print("works" if pid else "works twice", flush=True)

forks.run(work())
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert run(program) == 1


def test_a_signal_after_the_work_does_not_change_the_status() -> None:
    script = """
import os, signal
from wallaroo_workers import forks
async def work():
    return 3
status = forks.run(work())
os.kill(os.getpid(), signal.SIGTERM)
os.kill(os.getpid(), signal.SIGINT)
raise SystemExit(status)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 3


def test_a_descriptor_that_another_thread_has_closed_meanwhile_is_passed_over() -> None:
    script = """
from wallaroo_workers import forks
seen = iter([set(), {999_999}])
forks._open_descriptors = lambda: next(seen)
async def work():
    return 3
raise SystemExit(forks.run(work()))
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 3


def test_children_forked_after_a_cluster_in_this_process_get_their_signals() -> None:
    script = """
import os, signal
from wallaroo_workers import forks

async def work():
    pass

def blocked_in_child():
    pid = os.fork()
    if pid == 0:
        os._exit(len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

with forks.guest():
    forks.run(work())
    inside = blocked_in_child()
raise SystemExit(10 * inside + blocked_in_child())
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
