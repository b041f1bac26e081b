"""The text of one chain while it is written: lines, loops, names, and the step of each line.

Everything that writes a part of a chain does so through ``ChainText``. The line number of a
traceback says which step failed, so a line that may fail is written with its site. The text
consists of lines of this package, of names made here, and of constants written by ``repr``; it
contains no text of the user.
"""

import linecache
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType
from typing import Any

from wallaroo.metrics.probe import Probe
from wallaroo.operators.counting import ChainCounters
from wallaroo.operators.failures import Site, StopOnError, forget_traceback, traceback_of
from wallaroo.operators.writing.bindings import Bindings
from wallaroo.topology.plan import Application, Flow, Step

CHAINS_KEPT_MAX = 256


@dataclass(slots=True)
class ChainText:
    """The lines of one function, and where the writers are in it.

    Writers of steps, exchanges and sinks share a convention: the variables ``key``, ``record`` and
    ``payload`` belong to the record that is being processed, and ``continue`` ends it.
    """

    plan: Application
    pipeline: Flow
    """The pipeline that the next lines belong to."""
    bindings: Bindings
    probe: Probe | None
    names: dict[str, Any] = field(default_factory=dict)
    """The objects that the text refers to, by name."""
    loop_count: int = 0
    """Number of loops around the next line."""
    function: Callable[..., Any] | None = None
    """The user's function that the next lines belong to."""
    node: int = 0
    """The node that records have reached, for counters."""
    has_key: bool = False
    """Whether ``key`` is the key of the record here."""
    has_time: bool = False
    """Whether ``time`` is the time of the record here."""
    returns_top: bool = False
    """Whether the function returns ``top``, the highest time of its records."""
    counters: ChainCounters = field(init=False)
    _lines: list[str] = field(default_factory=list)
    _sites: dict[int, Site] = field(default_factory=dict)
    _first: list[str] = field(default_factory=list)
    _depth: int = 1
    _place: str = ""

    def __post_init__(self) -> None:
        self.counters = ChainCounters(self.bindings.tally)
        self._place = self.pipeline.name

    @property
    def line_count(self) -> int:
        """Number of lines so far."""
        return len(self._lines)

    @property
    def level(self) -> int:
        """Number of blocks around the next line."""
        return self._depth

    def begin(self, arguments: str) -> None:
        """Write the start of the function."""
        self.line(f"def run({arguments}):", depth=0)
        self.line("key = record = payload = None")

    def start_with(self, statement: str) -> None:
        """Let the function begin with this statement."""
        self._first.append(statement)

    def enter(self, node: int, function: Callable[..., Any] | None = None) -> None:
        """Note that the next lines belong to this node, and to this function of the user."""
        self.node = node
        self.function = function

    def know_key(self, has_key: bool = True) -> None:
        """Note whether ``key`` is the key of the record from here on."""
        self.has_key = has_key

    def know_time(self) -> None:
        """Note that ``time`` is the time of the record from here on."""
        self.has_time = True

    def return_top(self) -> None:
        """Let the function return the variable ``top``."""
        self.returns_top = True

    def line(self, text: str, *, depth: int | None = None, site: str | None = None) -> None:
        """Write a line; ``site`` names the step, partition function or encoder that may fail in
        it."""
        self._lines.append("    " * (self._depth if depth is None else depth) + text)
        if site is not None:
            self.note_site(
                Site(self.pipeline.name, site, self.has_key, function=self.function, node=self.node)
            )

    def note_site(self, site: Site, line_count: int = 1) -> None:
        """Note what the last lines belong to."""
        last = len(self._lines)
        self._sites |= dict.fromkeys(range(last - line_count + 1, last + 1), site)

    def refer(self, **objects: Any) -> None:
        """Let the text refer to these objects by their names."""
        self.names |= objects

    def result_of(self, step: Step) -> str:
        """Return the variable for what a step returns."""
        return "records" if step.is_multi else "record"

    def name(self, name: str, value: Any) -> str:
        """Let the text refer to ``value`` by ``name``, and return the name."""
        self.names[name] = value
        return name

    def user_name(self, name: str, function: Callable[..., Any], *, is_step: bool = True) -> str:
        """Return a name for a function of the user; its time counts for the step, or beside it."""
        if self.probe is not None:
            timed = self.probe.timed if is_step else self.probe.timed_beside
            function = timed(self.node, function)
        return self.name(name, function)

    # Loops, each of which isolates the errors of its records

    def open_loop(self, loop: str) -> int:
        """Open a loop over records; return what ``close_loop`` needs."""
        self.line(loop)
        self._depth += 1
        self.loop_count += 1
        self.line("try:")
        self._depth += 1
        return self._depth - 1

    def close_loop(self, depth: int) -> None:
        """Close the loop of this depth: an error ends only the record in it."""
        self._depth = depth
        # Whatever the user's function raises is a failure of its record, also sys.exit() or a
        # cancelled task. StopOnError is raised by an inner loop, for a record of that loop.
        if self._lines[-1].endswith("try:"):
            self.line("pass", depth=depth + 1)
        self.line("except StopOnError: raise")
        self.line("except BaseException as error:")
        self.line("fail(error, key, record, payload)", depth=depth + 1)
        self._depth = depth - 1

    def close_single_loop(self, depth: int) -> None:
        """Close a loop of one iteration, after which the same record goes on."""
        self.close_loop(depth)
        self.loop_count -= 1

    def unwind(self, loop_count: int) -> None:
        """Close the loops of multi computations, until ``loop_count`` loops are left."""
        while self.loop_count > loop_count:
            self.close_loop(self._depth - 1)
            self.loop_count -= 1

    @contextmanager
    def indented(self) -> Iterator[None]:
        """Write the block of the condition that was written last."""
        first = self.line_count
        self._depth += 1
        yield
        if self.line_count == first:
            self.line("pass")
        self._depth -= 1

    @contextmanager
    def inside(self, pipeline: Flow) -> Iterator[None]:
        """Write lines of another pipeline; behind them, those of this one go on as before."""
        outer, has_key = self.pipeline, self.has_key
        self.pipeline = pipeline
        yield
        self.pipeline, self.has_key = outer, has_key

    # The finished function

    def finish(self, place: str) -> Callable[..., Any]:
        """Write the end of the function, which is the chain at ``place``, and compile it."""
        # Add to an existing line, since errors are identified by line numbers.
        self._lines[1] += "".join(f"; {each}" for each in dict.fromkeys(self._first))
        self._lines[1] += self.counters.begin()
        for line in self.counters.end():
            self.line(line, depth=1)
        if self.returns_top:
            self.line("return top", depth=1)
        self.names |= self.counters.names()
        return self._compiled(f"<{place}>")

    def _compiled(self, file_name: str) -> Callable[..., Any]:
        text = "\n".join(self._lines) + "\n"
        # Debuggers and tracebacks find the written code here, like the code of a module.
        linecache.cache[file_name] = (len(text), None, text.splitlines(keepends=True), file_name)
        self.names["StopOnError"] = StopOnError
        self.names["fail"] = _failure_reporter(self._sites, self._place, self.bindings.fail)
        exec(_code(text, file_name), self.names)
        run: Callable[..., Any] = self.names["run"]
        return run


@lru_cache(CHAINS_KEPT_MAX)
def _code(text: str, file_name: str) -> CodeType:
    """Return the compiled text; each epoch writes the same texts again."""
    return compile(text, file_name, "exec")


def _failure_reporter(
    sites: dict[int, Site],
    pipeline: str,
    fail: Callable[[BaseException, Site, Any, Any, bytes | None], None],
) -> Callable[[BaseException, Any, Any, bytes | None], None]:
    """Return the function that a chain's ``except`` calls; it finds an error's site by its line."""

    def report(error: BaseException, key: Any, record: Any, payload: bytes | None) -> None:
        found = traceback_of(error)
        assert found is not None
        site = sites.get(found.tb_lineno)
        if site is None:
            if isinstance(error, KeyboardInterrupt):
                raise error  # it may arrive at any line
            # This line calls no user code, so the fault is ours; hiding it in the dead letters
            # would be worse than stopping.
            raise AssertionError(f"the chain of pipeline {pipeline!r} failed by itself") from error
        shown = payload if site.is_decoder else record
        fail(error, site, key if site.has_key else None, shown, payload)
        # An exception object that is raised again keeps its traceback, which grows each time.
        forget_traceback(error)

    return report
