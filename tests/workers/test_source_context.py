from dataclasses import replace
from typing import Any

import pytest

import wallaroo
from wallaroo.connectors.base import Source
from wallaroo.connectors.custom import Partitioned
from wallaroo.connectors.generator import GeneratorSource
from wallaroo.connectors.source_classes import PartitionedSource
from wallaroo.errors import ConfigError
from wallaroo.topology.plan import Pipeline
from wallaroo_workers.sources.context import SourceContext, new_runner
from wallaroo_workers.sources.frame_limits import intake_limits


class Elsewhere(GeneratorSource):
    """A source whose runner is in this module."""

    runner = f"{__name__}:made_here"


class Lost(GeneratorSource):
    runner = "wallaroo_lost.runner:new_runner"


class Misnamed(GeneratorSource):
    runner = f"{__name__}:not_there"


def made_here(context: SourceContext) -> Any:
    return ("made", context.index)


def context_of(source: Source) -> SourceContext:
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


class Named(PartitionedSource[int]):
    """A source that notes who reads it."""

    names: tuple[str, ...] = ()

    def read_by(self, application: str, pipeline: str, worker: str, /) -> None:
        self.names = (application, pipeline, worker)

    async def read(self, partition: str, position: Any) -> Any:
        yield None


async def test_a_source_with_partitions_learns_who_reads_it() -> None:
    source = Named()
    context = context_of(Partitioned(source))
    new_runner(replace(context, application="sums", worker="w2"))
    assert source.names == ("sums", "numbers", "w2")


def tcp_listener(limit: int, **settings: Any) -> Any:
    source = wallaroo.TCPSourceConfig(
        name="n", host="127.0.0.1", port=0, decoder=wallaroo.decoder(lambda line: line),
        framing="newline", **settings,
    )  # fmt: skip
    assert source.mistakes == ()
    limits = intake_limits(limit, 1)
    return new_runner(replace(context_of(source.source()), limits=limits))


def test_a_tcp_source_refuses_longer_frames_than_the_run_or_the_application_allows() -> None:
    assert tcp_listener(100).limits.frame_bytes_max == 100
    assert tcp_listener(100, max_size=7).limits.frame_bytes_max == 7
    assert tcp_listener(100, max_size=101).limits.frame_bytes_max == 100


async def test_a_tcp_source_that_is_not_valid_opens_no_socket() -> None:
    listener = tcp_listener(100, valid=False)
    await listener.listen("")
    await listener.drain()
    assert listener.connection_count == 0
