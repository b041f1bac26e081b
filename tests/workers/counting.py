"""The application that questions are about: records, each counted under itself."""

import wallaroo
from tests.wallaroo.operators.mesh import tcp_source_at


@wallaroo.partition
def same(record: str) -> str:
    return record


@wallaroo.state_computation("count")
def count(record: str, state: dict[str, int]) -> tuple[str, bool]:
    return record, True


def counting() -> wallaroo.ApplicationBuilder:
    """Begin it, with the state ``counts``."""
    builder = wallaroo.ApplicationBuilder("letters")
    builder.new_pipeline("letters", tcp_source_at("7010"))
    return builder.to_state_partition(count, dict, "counts", same)
