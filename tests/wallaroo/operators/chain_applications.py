"""Applications whose chains are compared with stored texts, and the text of all their chains.

``python -m tests.wallaroo.operators.chain_applications`` stores the texts again, after a change
that is meant to change them.
"""

import inspect
import linecache
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import wallaroo
from tests.graphs import (
    BY_SEVEN,
    BY_TEXT,
    PREDICATES,
    compiled,
    fed,
    parallel,
    source,
    state,
    to,
)
from tests.graphs import tcp_sink as number_sink
from tests.wallaroo.operators.mesh import Mesh, application, encode_line, tcp_sink
from wallaroo.operators.dataflow import Run
from wallaroo.topology.plan import Application

FOLDER = Path(__file__).with_name("chain_texts")

NESTED = 7
"""More multi computations in a row than one function nests."""


@wallaroo.computation("upper")
def upper(word: Any) -> Any:
    return word.upper()


@wallaroo.computation_multi("letters")
def letters(word: Any) -> list[Any]:
    return list(word)


@wallaroo.state_computation("count")
def count(word: Any, seen: Any) -> tuple[Any, bool]:
    seen.append(word)
    return word, True


@wallaroo.state_computation_multi("all so far")
def all_so_far(word: Any, seen: Any) -> tuple[list[Any], bool]:
    seen.append(word)
    return list(seen), True


@wallaroo.partition
def by_letter(word: Any) -> str:
    return str(word)[0]


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


class Numbers:
    def initial_value(self) -> int:
        return 0

    def apply(self, value: int) -> int:
        return value + 1


class Messages(wallaroo.PartitionedSource[Any]):
    def __init__(self, key: Any, decoder: Callable[[bytes], Any] | None) -> None:
        self.key = key
        self.decoder = decoder

    def read(self, partition: str, position: Any, /) -> Iterator[Any]:
        yield None


def _keyed_by_source(key: Any, decoder: Any) -> Application:
    builder = wallaroo.ApplicationBuilder("test").new_pipeline("p", Messages(key, decoder))
    builder.to_state_partition(count, list, "seen", wallaroo.source_key).to(upper)
    return builder.to_sink(tcp_sink()).build()


def _keyed(key: Any) -> wallaroo.ApplicationBuilder:
    return application(decoder=decode).to_state_partition(count, list, "seen", key)


def _nested() -> Application:
    builder = application(decoder=decode)
    for _ in range(NESTED):
        builder.to(letters)
    builder.to_state_partition(all_so_far, list, "seen", by_letter)
    return builder.to(letters).to(upper).to_sink(tcp_sink()).build()


def _generator() -> wallaroo.ApplicationBuilder:
    source: Any = wallaroo.GenSourceConfig(Numbers())
    return wallaroo.ApplicationBuilder("test").new_pipeline("p", source)


def _graph() -> Application:
    sink = number_sink()
    return compiled(
        source("odd", to("odd")),
        source("split", key=BY_SEVEN, branches=(PREDICATES["small"],)),
        fed("small", [(1, 0)], state("small"), sinks=(sink,)),
        fed("merged", [0, (1, 1)], to("triple", BY_TEXT), to("twice"), state("one"), state("two"),
            parallel("picky"), sinks=(sink, number_sink())),
        fed("again", [3], state("three")),
        fed("and again", [3], to("plus one")),
    )  # fmt: skip


APPLICATIONS: dict[str, Callable[[], Application]] = {
    "stateless": lambda: (
        application(decoder=decode).to(upper).to(upper).to_sink(tcp_sink()).build()
    ),
    "multi": lambda: application(decoder=decode).to(letters).to(upper).to_sink(tcp_sink()).build(),
    "nested multi": _nested,
    "parallel": lambda: (
        application(decoder=decode).to(upper).to_parallel(letters).to_parallel(upper).to(letters)
        .to_sink(tcp_sink()).build()
    ),
    "keyed": lambda: _keyed(by_letter).to(upper).to_sink(tcp_sink()).build(),
    "two states": lambda: (
        _keyed(by_letter).to(letters).to_state_partition(all_so_far, list, "more", by_letter)
        .to_sink(tcp_sink()).build()
    ),
    "one key": lambda: (
        application(decoder=decode).to(upper).to_stateful(all_so_far, list, "seen")
        .to_sink(tcp_sink()).build()
    ),
    "payload key": lambda: (
        _keyed(wallaroo.payload_key(offset=0, length=1)).to_sink(tcp_sink()).build()
    ),
    "source key": lambda: _keyed_by_source("utf-8", decode),
    "source key by function": lambda: _keyed_by_source(lambda key: key.decode(), decode),
    "source key without decoder": lambda: _keyed_by_source("bytes", None),
    "two sinks": lambda: (
        _keyed(by_letter).to(letters).to_sinks([tcp_sink(), tcp_sink(encode_line)]).build()
    ),
    "two pipelines": lambda: (
        _keyed(by_letter).done().new_pipeline("q", wallaroo.GenSourceConfig(Numbers()))
        .to_state_partition(count, list, "seen", by_letter).to_sink(tcp_sink()).build()
    ),
    "graph": _graph,
    "generator": lambda: _generator().to(upper).to_sink(tcp_sink()).build(),
}  # fmt: skip


def texts_of(name: str) -> str:
    """Return the text of all chains of one application, with what each line belongs to."""
    sections: dict[str, list[str]] = {}
    for workers, is_running in ((1, False), (3, True)):
        for title, text in _chains(name, workers, is_running=is_running):
            how = "3 workers, checkpoints and metrics" if is_running else "1 worker"
            sections.setdefault(text, []).append(f"{title}: {how}")
    return "\n".join("\n".join([*titles, text]) for text, titles in sections.items())


def _chains(name: str, worker_count: int, *, is_running: bool) -> Iterator[tuple[str, str]]:
    plan = APPLICATIONS[name]()
    mesh = Mesh(plan, worker_count, tracks_changes=is_running, is_measured=is_running)
    flow = mesh.flows[mesh.workers[0]]
    for index, runs in enumerate(flow._sources):
        yield from _texts(f"source {index}", runs)
    for (edge, as_objects), runs in flow._batches.items():
        yield from _texts(f"edge {edge} {'objects' if as_objects else 'payloads'}", runs)


def _texts(title: str, runs: list[Run]) -> Iterator[tuple[str, str]]:
    for run, kind in zip(runs, ("plain", "watched"), strict=False):
        yield f"{title} {kind}", _text(run)


def _text(run: Any) -> str:
    file = run.__code__.co_filename
    names = run.__globals__
    sites = inspect.getclosurevars(names["fail"]).nonlocals["sites"]
    lines = [file]
    for number, line in enumerate(linecache.getlines(file), start=1):
        site = sites.get(number)
        belongs = "" if site is None else (
            f"  # {site.pipeline}, {site.step}, node {site.node}"
            + ", key" * site.has_key + ", payload" * site.is_decoder
            + f", {_called(site.function)}"
        )  # fmt: skip
        lines.append(line.rstrip("\n") + belongs)
    objects = sorted(names.keys() - {"__builtins__", "run"})
    lines += [f"{name}: {_called(names[name])}" for name in objects]
    # The rest of a very deep chain is a function of its own, which the text calls.
    lines += [_text(names[name]) for name in objects if name.startswith(("rest_", "flow_"))]
    return "\n".join(lines) + "\n"


def _called(value: Any) -> str:
    return "-" if value is None else getattr(value, "__qualname__", type(value).__name__)


if __name__ == "__main__":
    for application_name in APPLICATIONS:
        (FOLDER / f"{application_name}.txt").write_text(texts_of(application_name))
