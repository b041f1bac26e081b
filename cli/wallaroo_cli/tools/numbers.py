"""The one type of all options that take a number with a fraction."""

import math
from typing import Any

import click

NUMBER_MAX = 1e9
"""In seconds this is 31 years; timers of event loops fail far above that."""


class Number(click.FloatRange):
    """A number at least 0, or above 0; ``nan``, ``inf`` and what is as large are refused."""

    name = "number"

    def __init__(self, *, above_zero: bool = True) -> None:
        super().__init__(min=0, min_open=above_zero)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number. Fails with a sentence for anything that cannot be used as one."""
        number = click.FLOAT.convert(value, param, ctx)
        if math.isnan(number) or abs(number) > NUMBER_MAX:
            self.fail(f"{value} cannot be used: give a number up to {NUMBER_MAX:,.0f}", param, ctx)
        return super().convert(number, param, ctx)
