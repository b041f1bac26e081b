"""Late records behind steps that have none, or taken for results."""

import wallaroo
from wallaroo import aggregate, minutes


@wallaroo.encoder
def encode(result: wallaroo.Result[int]) -> str:
    return f"{result.value}\n"


def pipeline(lines: wallaroo.Pipeline[str]) -> None:
    windows = wallaroo.tumbling(minutes(1)).with_late_data_policy("side")
    counts = lines.to(windows.over(aggregate.count()))
    lines.late.done()  # mistake
    counts.map(str).late.done()  # mistake
    counts.late.late.done()  # mistake
    counts.late()  # mistake
    counts.late.to_sink(wallaroo.TCPSinkConfig("127.0.0.1", 7002, encode))  # mistake
