"""Windows without an aggregation, over something else, or of a length that is none."""

import wallaroo
from wallaroo import aggregate, minutes


class Total:
    value = 0


def pipeline(numbers: wallaroo.Pipeline[int]) -> None:
    numbers.to(wallaroo.tumbling(minutes(1)))  # mistake
    numbers.to(aggregate.count())  # mistake
    wallaroo.tumbling(minutes(1)).over(sum)  # mistake
    wallaroo.tumbling(minutes(1)).over(Total)  # mistake
    wallaroo.tumbling(minutes(1)).over(aggregate.count)  # mistake
    wallaroo.tumbling(0.5).over(aggregate.count())  # mistake
    wallaroo.session("30m").over(aggregate.count())  # mistake
    wallaroo.tumbling(minutes(1)).early(every=minutes(1), each=2)  # mistake
    aggregate.several(count=aggregate.count(), total=Total)  # mistake
