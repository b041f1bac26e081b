"""Counts equal records of the file ``in`` into the files ``out`` and ``copy``.

The first argument says how records are framed. The working folder changes on the way: a relative
path still means the folder of the command.
"""

import os
from typing import Literal

import wallaroo
from shared_codecs import decode_bytes, encode_bytes


@wallaroo.partition
def by_content(record: bytes) -> bytes:
    return record


@wallaroo.state_computation("count")
def count(record: bytes, seen: list[bytes]) -> tuple[bytes, bool]:
    seen.append(record)
    return b"%s %d" % (record, len(seen)), True


def application_setup(args: list[str]) -> wallaroo.Application:
    framing: Literal["length", "newline"] = "length" if args[1] == "length" else "newline"
    os.makedirs("elsewhere", exist_ok=True)
    os.chdir("elsewhere")
    return (
        wallaroo.ApplicationBuilder("files")
        .new_pipeline("records", wallaroo.FileSourceConfig("in", decode_bytes, framing))
        .to_state_partition(count, list, "seen", by_content)
        .to_sinks([wallaroo.FileSinkConfig(name, encode_bytes) for name in ("out", "copy")])
        .build()
    )
