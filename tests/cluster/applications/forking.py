"""Starts processes of all kinds, as the records say."""

import multiprocessing
import os
import subprocess
from concurrent.futures import ProcessPoolExecutor

import wallaroo
from shared_codecs import decode_text

fork = multiprocessing.get_context("fork")
executor: ProcessPoolExecutor | None = None


def double(number: int) -> int:
    return 2 * number


@wallaroo.computation("work")
def work(record: str) -> object:
    global executor
    match record.split()[0]:
        case "pool":
            with fork.Pool(2) as pool:
                return pool.map(double, [1, 2])
        case "executor":
            executor = executor or ProcessPoolExecutor(2, mp_context=fork)
            list(executor.map(double, [1, 2]))
            return [os.getpid(), *executor._processes]
        case "programs":
            return [
                os.getpid(),
                subprocess.Popen(["sleep", "1000"]).pid,
                subprocess.Popen(["sleep", "1000"], start_new_session=True).pid,
            ]
        case "copy":
            pid = os.fork()
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if pid else "twice"
    return record


@wallaroo.encoder
def encode(value: object) -> bytes:
    return f"{value}\n".encode()


def application_setup(args: list[str]) -> wallaroo.Application:
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    (sink,) = wallaroo.tcp_parse_output_addrs(args)
    return (
        wallaroo.ApplicationBuilder("forking")
        .new_pipeline("records", wallaroo.TCPSourceConfig(*source, decode_text))
        .to(work)
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode))
        .build()
    )
