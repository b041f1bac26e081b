"""Finds mistakes of a caller of ``simulate`` before anything runs: a wrong test must fail."""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from wallaroo.connectors.base import Assignment
from wallaroo.describing import a_type
from wallaroo.errors import WallarooParameterError
from wallaroo.suggestions import did_you_mean
from wallaroo.testing.connections import FRAME_BYTES_MAX
from wallaroo.testing.cutting import cut_output_mistake
from wallaroo.testing.faults import Faults
from wallaroo.topology.plan import Application, Pipeline

_MISTAKES_TOLD = 5
_PAYLOADS = "give a list of payloads: [b'one', b'two']"
_SENDERS = "give a list of senders, each a list of payloads: [[b'one', b'two']]"

_PARTITIONS = "give a dict of partitions, each with a list of records: {'p0': ['one', 'two']}"


def refuse_arguments(
    application: object, workers: object, faults: object, expect_failures: object, cut: object
) -> None:
    """Raise ``WallarooParameterError`` with all mistakes in the arguments except the input."""
    mistakes = [*_argument_mistakes(application, workers, faults, expect_failures)]
    if wrong_cut := cut_output_mistake(cut):
        mistakes.append(wrong_cut)
    if mistakes:
        raise WallarooParameterError(mistakes)


def _argument_mistakes(
    application: object, workers: object, faults: object, expect_failures: object
) -> Iterator[str]:
    yield from common_mistakes(application, workers)
    if not isinstance(faults, Faults):
        yield f"faults is {a_type(faults)}; give wallaroo.testing.Faults(...)"
    if not isinstance(expect_failures, int) or expect_failures < 0:
        yield f"expect_failures is {expect_failures!r}; give True, or how many records fail"


def common_mistakes(application: object, workers: object) -> Iterator[str]:
    """Yield the mistakes in the arguments that ``simulate`` and ``collect`` have in common."""
    if not isinstance(application, Application):
        what = "a function" if callable(application) else a_type(application)
        yield (
            f"application is {what}; give what application_setup(args) returns, "
            "which is the result of build()"
        )
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        yield f"workers is {workers!r}; give a number from 1 on"


def checked_input(plan: Application, input: object) -> dict[str, list[Any]]:
    """Return the input of each pipeline with an outside source, as lists.

    Raises ``WallarooParameterError`` with all mistakes: unknown pipelines, payloads that are not
    bytes, input for a generator, nothing sent at all.
    """
    if not isinstance(input, Mapping):
        raise WallarooParameterError(
            f"input is {a_type(input)}; give a dict with the name of each pipeline and "
            "what comes to its source"
        )
    mistakes = [*_name_mistakes(plan, input)]
    checked: dict[str, list[Any]] = {}
    for pipeline in plan.pipelines:
        if pipeline.source.generated() is not None:
            continue
        found: list[str] = []
        checked[pipeline.name] = _checked(pipeline, input.get(pipeline.name, ()), found)
        mistakes += found
    if not mistakes and _is_nothing(plan, checked):
        known = ", ".join(map(repr, checked))
        mistakes.append(f"nothing is sent; give payloads for at least one of the pipelines {known}")
    if mistakes:
        raise WallarooParameterError(mistakes)
    return checked


def _name_mistakes(plan: Application, input: Mapping[Any, object]) -> Iterator[str]:
    pipelines = {pipeline.name: pipeline for pipeline in plan.pipelines}
    for name in input:
        if name not in pipelines:
            meant = did_you_mean(str(name), pipelines)
            known = ", ".join(map(repr, pipelines))
            yield (
                f"input has {name!r}, and the application has no pipeline of that name; "
                f"{meant}its pipelines are: {known}"
            )
        elif pipelines[name].source.generated() is not None:
            yield (
                f"input has {name!r}, whose source is a generator and makes its own records; "
                "leave it out"
            )


def _is_nothing(plan: Application, checked: Mapping[str, list[Any]]) -> bool:
    if any(pipeline.source.generated() is not None for pipeline in plan.pipelines):
        return False
    return not any(_has_records(pipeline, checked[pipeline.name]) for pipeline in plan.pipelines)


def _has_records(pipeline: Pipeline, checked: list[Any]) -> bool:
    if pipeline.source.assignment is Assignment.BY_SPLIT:
        return any(records for _, records in checked)
    return any(checked) if pipeline.source.listening_address else bool(checked)


def _checked(pipeline: Pipeline, given: object, mistakes: list[str]) -> list[Any]:
    of, frames = f"input of pipeline {pipeline.name!r}", pipeline.source.frames
    if pipeline.source.assignment is Assignment.BY_SPLIT:
        return _partitions(given, of, mistakes)
    if pipeline.source.keeps_journal and frames is None:
        return _pushed(pipeline, given, f"the {of}", mistakes)
    if frames is None:
        what = f"the source of pipeline {pipeline.name!r}, {pipeline.source.describe()},"
        mistakes.append(f"{what} cannot be simulated; give the pipeline a source that can")
        return []
    if frames.are_lines:
        refusal = _line_refusal
    elif isinstance(frames.payload_length, str):
        refusal = partial(_frame_refusal, struct.Struct(frames.payload_length))
    else:
        mistakes.append(
            f"the {of} needs headers, which a simulation cannot make for a decoder with a "
            "payload_length() of its own; test it with @wallaroo.decoder(header_length, length_fmt)"
        )
        return []
    if not pipeline.source.listening_address:
        payloads = _as_list(given, f"the {of}", _PAYLOADS, mistakes)
        mistakes += _payload_mistakes(payloads, f"of the {of}", refusal)
        return payloads
    senders: list[list[Any]] = []
    for number, sender in enumerate(_as_list(given, f"the {of}", _SENDERS, mistakes)):
        if len(mistakes) >= _MISTAKES_TOLD:
            break  # those of the other senders are mostly the same
        payloads = _as_list(sender, f"sender {number} of the {of}", _SENDERS, mistakes)
        mistakes += _payload_mistakes(payloads, f"of sender {number} of the {of}", refusal)
        senders.append(payloads)
    return senders


def _pushed(pipeline: Pipeline, given: object, of: str, mistakes: list[str]) -> list[Any]:
    """Return the records of a broker."""
    if pipeline.source.decoder is None:
        return _as_list(given, of, "give a list of records", mistakes)
    payloads = _as_list(given, of, _PAYLOADS, mistakes)
    mistakes += _payload_mistakes(payloads, f"of {of}", _too_long)
    return payloads


def _partitions(given: object, of: str, mistakes: list[str]) -> list[Any]:
    """Return the names of partitions with their records."""
    if given == ():
        return []  # the pipeline was left out
    if not isinstance(given, Mapping):
        mistakes.append(f"the {of} is {a_type(given)}; {_PARTITIONS}")
        return []
    partitions: list[Any] = []
    for name, records in given.items():
        if len(mistakes) >= _MISTAKES_TOLD:
            break
        if not isinstance(name, str):
            mistakes.append(f"a partition of the {of} is named {name!r}; give a str")
        what = f"partition {name!r} of the {of}"
        partitions.append((name, _as_list(records, what, _PARTITIONS, mistakes)))
    return partitions


def _as_list(given: object, what: str, wanted: str, mistakes: list[str]) -> list[Any]:
    if isinstance(given, str | bytes | bytearray | Mapping) or not isinstance(given, Iterable):
        mistakes.append(f"{what} is {a_type(given)}; {wanted}")
        return []
    return list(given)


def _payload_mistakes(
    payloads: Sequence[Any], of: str, refusal: Callable[[bytes], str]
) -> Iterator[str]:
    """Yield the first mistake of a list; the others are usually the same."""
    for number, payload in enumerate(payloads):
        what = f"payload {number} {of}"
        if not isinstance(payload, bytes):
            remedy = "call encode() on it" if isinstance(payload, str) else "give bytes"
            yield f"{what} is {a_type(payload)}; {remedy}"
            return
        if refused := refusal(payload):
            yield f"{what} {refused}"
            return


def _line_refusal(payload: bytes) -> str:
    if b"\n" in payload or payload.endswith(b"\r"):
        return "cannot come as one line; give payloads without line ends"
    return _too_long(payload)


def _frame_refusal(header: struct.Struct, payload: bytes) -> str:
    try:
        header.pack(len(payload))
    except struct.error:
        return (
            f"has {len(payload)} bytes, too many for its header {header.format!r}; give a shorter "
            "one, or the decoder a longer header"
        )
    return _too_long(payload)


def _too_long(payload: bytes) -> str:
    if len(payload) > FRAME_BYTES_MAX:
        return f"has {len(payload)} bytes; a simulation takes {FRAME_BYTES_MAX}: give a shorter one"
    return ""
