"""The classes of windows that Wallaroo 0.6 has, for applications that make objects of them."""

from typing import Any

from wallaroo.api.windows import WindowStep, count_windows, range_windows
from wallaroo.durations import Duration


class RangeWindows(WindowStep[Any, Any]):
    """The same as ``range_windows(range)``, its methods ``with_...``, and ``over(aggregation)``."""

    def __init__(
        self,
        range: Duration,
        slide: Duration,
        delay: Duration,
        aggregation: Any,
        late_data_policy: str,
    ) -> None:
        windows = range_windows(range).with_slide(slide).with_delay(delay)
        step = windows.with_late_data_policy(late_data_policy).over(aggregation)
        super().__init__(step.declared, [*step.mistakes])


class CountWindows(WindowStep[Any, Any]):
    """The same as ``count_windows(count).over(aggregation)``."""

    def __init__(self, count: int, aggregation: Any) -> None:
        step = count_windows(count).over(aggregation)
        super().__init__(step.declared, [*step.mistakes])
