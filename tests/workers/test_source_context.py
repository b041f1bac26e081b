from typing import Any

import pytest

from wallaroo.connectors.generator import GeneratorSource
from wallaroo.errors import ConfigError
from wallaroo.topology.plan import Pipeline
from wallaroo_workers.sources.context import SourceContext, new_runner


class Elsewhere(GeneratorSource):
    """A source whose runner is in this module."""

    runner = f"{__name__}:made_here"


class Lost(GeneratorSource):
    runner = "wallaroo_lost.runner:new_runner"


class Misnamed(GeneratorSource):
    runner = f"{__name__}:not_there"


def made_here(context: SourceContext) -> Any:
    return ("made", context.index)


def context_of(source: GeneratorSource) -> SourceContext:
    nothing: Any = None
    pipeline = Pipeline("numbers", source, (), ())
    return SourceContext(3, pipeline, *[nothing] * 8)


def test_the_runner_is_made_by_the_function_that_the_source_names() -> None:
    assert new_runner(context_of(Elsewhere(None))) == ("made", 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "why"), [(Lost, "ModuleNotFoundError"), (Misnamed, "Attribute")])
def test_a_runner_that_is_not_there_is_an_error_with_a_remedy(
    kind: type[GeneratorSource], why: str
) -> None:
    with pytest.raises(
        ConfigError, match=r"the source of pipeline 'numbers' cannot be run"
    ) as told:
        new_runner(context_of(kind(None)))  # type: ignore[arg-type]
    assert why in told.value.what
    assert "install the package" in (told.value.hint or "")
