"""Which methods an author has written, and checks of what they return."""

import inspect
from collections.abc import Iterator
from typing import Any, TypeAlias

from wallaroo.connectors.class_mistakes import refused_call
from wallaroo.connectors.source_classes import PartitionedSource, PushedSource
from wallaroo.describing import a_type, type_name
from wallaroo.errors import ClusterError
from wallaroo.ingest.split_batches import Method
from wallaroo_workers.sources.reading import ReadState

SourceOfAuthor: TypeAlias = PartitionedSource[Any] | PushedSource[Any]
READER_CALLS = (
    ("add", ("partition", "position")),
    ("remove", ("partition",)),
    ("poll", ("timeout_s",)),
    ("close", ()),
)
_KINDS = (PartitionedSource, PushedSource)


def has_own(source: SourceOfAuthor, method: str) -> bool:
    """Return whether an author has written this method."""
    written = getattr(type(source), method)
    return all(written is not getattr(kind, method, None) for kind in _KINDS)


def is_asynchronous(source: PartitionedSource[Any]) -> bool:
    """Return whether the source is read on the event loop."""
    if has_own(source, "reader"):
        return inspect.iscoroutinefunction(source.reader)
    return inspect.isasyncgenfunction(source.read)


def read_state(source: PartitionedSource[Any], pipeline: str) -> ReadState:
    """Return the state of a pump; errors name the author's method that gives batches."""
    name = "reader" if has_own(source, "reader") else "read"
    return ReadState(pipeline, Method(source, name), getattr(source, name))


async def settled(result: Any) -> Any:
    """Return what a method returned that may be a coroutine."""
    return await result if inspect.isawaitable(result) else result


def checked_item(source: PartitionedSource[Any], item: Any) -> tuple[str, Any]:
    """Return one item of ``poll``. Raises ``ClusterError`` if it is not a split with its batch."""
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
        return item[0], item[1]
    raise ClusterError(
        f"the reader of {type_name(source)} polled {a_type(item)}",
        hint="let poll return pairs of a partition's name and a wallaroo.Batch",
    )


def polled_items(source: PartitionedSource[Any], polled: Any) -> Iterator[Any]:
    """Return an iterator of what ``poll`` returned; ``ClusterError`` if it cannot be one."""
    if not hasattr(polled, "__iter__"):
        raise ClusterError(
            f"the reader of {Method(source, 'reader')} polled {a_type(polled)}",
            hint="let poll return a list of pairs of a partition's name and a wallaroo.Batch; the "
            "list is empty if nothing is there",
        )
    return iter(polled)


def complete_reader(source: PartitionedSource[Any], reader: Any) -> Any:
    """Return a reader that has all methods; ``ClusterError`` if one is missing, or is not fit."""
    for name, arguments in READER_CALLS:
        method = getattr(reader, name, None)
        refused = refused_call(method, arguments) if callable(method) else ""
        if refused or not callable(method):
            problem = f"whose {name}{refused}" if refused else f"which has no method {name}()"
            raise ClusterError(
                f"{Method(source, 'reader')} returned {a_type(reader)}, {problem}",
                hint="return an object with add(partition, position), remove(partition), "
                "poll(timeout_s) and close()",
            )
    return reader


def checked_reader(source: PartitionedSource[Any], reader: Any) -> Any:
    """Return the reader of a source that is read in a thread; ``ClusterError`` if it cannot be."""
    poll = complete_reader(source, reader).poll
    if inspect.iscoroutinefunction(poll) or inspect.isasyncgenfunction(poll):
        raise ClusterError(
            f"{Method(source, 'reader')} returned a reader whose poll is a coroutine",
            hint="write async def reader, so that it is made on the event loop too",
        )
    return reader
