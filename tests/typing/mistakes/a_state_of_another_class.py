"""A computation whose state is not what its decorator makes."""

import wallaroo


class Count:
    value = 0


class Total:
    value = 0.0


@wallaroo.state_computation("count", Total)  # mistake
def count(line: str, count: Count) -> int:
    count.value += 1
    return count.value


@wallaroo.state_computation_multi("repeat", Total)  # mistake
def repeat(line: str, count: Count) -> list[str]:
    count.value += 1
    return [line] * count.value
