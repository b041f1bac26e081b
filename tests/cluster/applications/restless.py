"""Leaves a thread, changes the working folder and configures logs as soon as it is imported."""

import atexit
import os
import threading

import structlog

import wallaroo
from shared_codecs import decode_text, encode_text

os.makedirs("elsewhere", exist_ok=True)
os.chdir("elsewhere")
structlog.configure(processors=[], wrapper_class=None, logger_factory=None)
threading.Thread(target=threading.Event().wait).start()
atexit.register(threading.Event().wait)
log = wallaroo.get_logger()


@wallaroo.computation("work")
def work(record: str) -> str:
    log.info("a record", extra={"n": 2**70, "nan": float("nan"), "level": "mine", "event": "mine"})
    if record == "bad":
        raise ValueError(record)
    return record


def application_setup(args: list[str]) -> wallaroo.Application:
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    (sink,) = wallaroo.tcp_parse_output_addrs(args)
    return (
        wallaroo.ApplicationBuilder("restless")
        .new_pipeline("records", wallaroo.TCPSourceConfig(*source, decode_text))
        .to(work)
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode_text))
        .build()
    )
