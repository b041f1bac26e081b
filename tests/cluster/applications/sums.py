"""The state that several applications in this folder add numbers to."""

import wallaroo


class Sum:
    def __init__(self) -> None:
        self.total = 0


@wallaroo.state_computation("add")
def add(record: tuple[str, int], state: Sum) -> tuple[tuple[str, int], bool]:
    state.total += record[1]
    return (record[0], state.total), True
