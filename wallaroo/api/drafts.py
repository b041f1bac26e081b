"""Pipelines as the graph declares them: linear, with names, made of the nodes of an application.

A node that is followed by one other goes on in the same pipeline. One that is followed by several
ends its pipeline, and each of them starts a pipeline that is fed by it. So does a merge, and what
follows a branch or leaves a step by a port of its own. Drafts may have mistakes;
``wallaroo.api.validation`` finds them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from wallaroo.api.flow import (
    BranchNode,
    EndNode,
    KeyNode,
    MergeNode,
    Node,
    PortNode,
    SourceNode,
    SplitNode,
    StepNode,
    TimeNode,
    in_order,
)
from wallaroo.api.inspection import Problem
from wallaroo.connectors.base import Sink, Source
from wallaroo.timing.spec import SourceTime
from wallaroo.topology.graph import (
    Feed,
    Inner,
    PartitionDeclaration,
    PipelineDeclaration,
    PredicateDeclaration,
    SourceLocation,
    StateDeclaration,
    StepDeclaration,
    StepKind,
)
from wallaroo.topology.ports import Port

FEEDS = "feeds"
"""What has ended a pipeline that only feeds others."""
_LAMBDA = "<lambda>"


class DraftTime(NamedTuple):
    """A call of ``with_time``."""

    times: SourceTime | None
    after: int
    """How many steps of the pipeline come before it."""
    place: SourceLocation


@dataclass(slots=True)
class PipelineDraft:
    """A pipeline that may have mistakes; ``None`` replaces what could not be read."""

    name: str | None
    source: Source | None
    place: SourceLocation
    steps: list[StepDeclaration] = field(default_factory=list)
    sinks: list[Sink] = field(default_factory=list)
    closed_by: str = ""
    """What ended it: ``to_sink``, ``to_sinks``, ``done``, ``split`` or ``feeds``."""
    feeds: tuple[Feed, ...] = ()
    """What it has instead of a source."""
    branches: tuple[PredicateDeclaration, ...] = ()
    key: PartitionDeclaration | None = None
    """The key of ``key_by`` at its end, for what it feeds."""
    key_places: dict[int, SourceLocation] = field(default_factory=dict)
    """The line of the ``key_by`` before a step, by the index of the step; that of the key at the
    end has the index behind the last step."""
    times: list[DraftTime] = field(default_factory=list)
    """What ``with_time`` has said; more than one is a mistake."""

    def declaration(self) -> PipelineDeclaration:
        """Return the declaration; call it only if there are no mistakes."""
        assert self.name is not None
        origin = Inner(self.feeds) if self.feeds else self.source
        assert origin is not None
        time = self.times[0] if self.times else None
        return PipelineDeclaration(
            self.name,
            origin,
            tuple(self.steps),
            tuple(self.sinks),
            self.branches,
            self.key,
            None if time is None else time.times,
            0 if time is None else time.after,
        )

    def has_end(self, ends: Iterable[EndNode], sinks: Iterable[Sink]) -> None:
        """End it by methods of the user, with the sinks of all of them."""
        self.sinks += sinks
        methods = sorted((end.method for end in ends), reverse=True)  # `done` counts least
        self.closed_by = methods[0]

    def feeds_others(self, by: str, key: KeyNode | None) -> None:
        """Let its records go on into other pipelines, with the key that waits for a step."""
        self.closed_by = self.closed_by or by
        if key is not None:
            self.key = key.key
            self.key_places[len(self.steps)] = key.place

    def add_step(self, step: StepDeclaration, key: KeyNode | None) -> None:
        """Add a step, behind a ``key_by`` if there is one."""
        if key is not None and step.placement in (StepKind.FUSED, StepKind.PARALLEL):
            self.key_places[len(self.steps)] = key.place
            step = replace(step, partition=key.key)
        self.steps.append(step)


def drafts_of(ends: Sequence[Node]) -> tuple[list[PipelineDraft], list[str]]:
    """Return the pipelines that lead to ``ends``, and mistakes of merges and splits.

    They are in the order in which ``ends`` reach them, what feeds a pipeline before it.
    """
    lowering = _Lowering(in_order(ends))
    return lowering.drafts, lowering.mistakes


class _Key(NamedTuple):
    """What is known of the key of the records behind a node."""

    is_there: bool = False
    survives: bool = False
    """Whether it passes ``to_parallel``: if ``key_by`` gave it."""
    is_partial: bool = False
    """Whether only some of the pipelines that were merged before have one."""


class _Lowering:
    """Makes the drafts of one application."""

    def __init__(self, order: list[Node]) -> None:
        self.drafts: list[PipelineDraft] = []
        self.mistakes: list[str] = []
        self._followers: dict[Node, list[Node]] = {node: [] for node in order}
        for node in order:
            for parent in dict.fromkeys(node.parents):
                self._followers[parent].append(node)
        self._keys: dict[Node, _Key] = {}
        self._feeds: dict[Node, tuple[Feed, ...]] = {}
        """Where the records behind a node leave its pipeline."""
        self._names = {node.name for node in order if isinstance(node, SourceNode)}
        self._states = {
            node.step.state.name
            for node in order
            if isinstance(node, StepNode) and node.step is not None and node.step.state is not None
        }
        self._sinks: dict[int, Sink] = {}
        for node in order:
            self._keys[node] = self._key_behind(node)
        for node in order:
            self._start(node)

    # Keys

    def _key_behind(self, node: Node) -> _Key:
        keys = [self._keys[parent] for parent in node.parents]
        if isinstance(node, KeyNode):
            return _Key(is_there=True, survives=True)
        if isinstance(node, MergeNode):
            return self._merged(node, keys)
        key = keys[0] if keys else _Key()
        if not isinstance(node, StepNode) or node.step is None:
            return key
        match node.step.placement:
            case StepKind.FUSED if node.own_state is None or key.is_there:
                return key
            case StepKind.PARALLEL:
                return key if key.survives else _Key()
            case _:
                return _Key(is_there=True)

    def _merged(self, node: MergeNode, keys: Sequence[_Key]) -> _Key:
        are_there = [key.is_there for key in keys]
        if any(isinstance(parent, KeyNode) for parent in node.parents) and not all(are_there):
            problem = Problem(
                "merge() has a pipeline that ends with key_by() and one whose records have no key",
                "call key_by() behind merge(), or on all of them",
            )
            self.mistakes.append(problem.at(node.place))
        if not all(are_there):
            return _Key(is_partial=any(are_there) or any(key.is_partial for key in keys))
        return _Key(is_there=True, survives=all(key.survives for key in keys))

    # Pipelines

    def _start(self, node: Node) -> None:
        """Start a pipeline if ``node`` is the first of one."""
        if isinstance(node, SourceNode):
            self._follow(PipelineDraft(node.name, node.source, node.place), node)
        elif isinstance(node, BranchNode | PortNode):
            if isinstance(node, PortNode) and node.parents[0] in self._feeds:
                (feed,) = self._feeds[node.parents[0]]
                self._feeds[node] = tuple(replace(feed, port=port) for port in node.ports)
            if (ends := self._ends_behind(node)) and node in self._feeds:
                draft = self._inner(ends[0], (node,))
                draft.has_end(ends, self._sinks_of(ends))
                self.drafts.append(draft)
                draft.name = self._name_of(draft, node)
        elif (isinstance(node, MergeNode) or self._is_first(node)) and all(
            parent in self._feeds for parent in node.parents
        ):
            draft = self._inner(node, node.parents)
            self._follow(draft, node)
            draft.name = self._name_of(draft, node.parents[0])

    def _is_first(self, node: Node) -> bool:
        if isinstance(node, EndNode) or not node.parents:
            return False
        (parent,) = node.parents
        return isinstance(parent, BranchNode | PortNode) or not self._goes_on(parent)

    def _goes_on(self, node: Node) -> bool:
        """Return whether the pipeline of ``node`` goes on with the one that follows it."""
        followers = self._followers[node]
        return len(followers) == 1 and not isinstance(followers[0], EndNode | MergeNode | PortNode)

    def _inner(self, node: Node, parents: Sequence[Node]) -> PipelineDraft:
        feeds = tuple(feed for parent in parents for feed in self._feeds[parent])
        return PipelineDraft(None, None, node.place, feeds=feeds)

    def _follow(self, draft: PipelineDraft, node: Node) -> None:
        """Add the nodes from ``node`` on to ``draft``, as far as its pipeline goes."""
        index = len(self.drafts)
        self.drafts.append(draft)
        key: KeyNode | None = None
        while True:
            if isinstance(node, StepNode) and node.step is not None:
                draft.add_step(self._step(node, node.step), key)
                key = None
            elif isinstance(node, KeyNode):
                key = node
            elif isinstance(node, TimeNode):
                draft.times.append(DraftTime(node.times, len(draft.steps), node.place))
            elif isinstance(node, SplitNode):
                draft.branches = node.predicates
                draft.feeds_others("split", key)
                self._branch(index, node)
                return
            if not self._goes_on(node):
                break
            (node,) = self._followers[node]
        if ends := self._ends_behind(node):
            draft.has_end(ends, self._sinks_of(ends))
        if len(ends) < len(self._followers[node]):
            self._feeds[node] = (Feed(index),)
            draft.feeds_others(FEEDS, key)

    def _branch(self, index: int, split: SplitNode) -> None:
        """Let the branches of a split go on, each of which has to go somewhere."""
        used = [node for node in self._followers[split] if isinstance(node, BranchNode)]
        for branch in used:
            self._feeds[branch] = (Feed(index, branch.index),)
        if split.mistakes:
            return
        for number in {*range(len(split.predicates) + 1)} - {branch.index for branch in used}:
            problem = Problem(
                f"the records of branch {number} of split() go nowhere (the first is branch 0)",
                "end it with to_sink() or done(), and give it to build_application()",
            )
            self.mistakes.append(problem.at(split.place))

    def _ends_behind(self, node: Node) -> list[EndNode]:
        return [each for each in self._followers[node] if isinstance(each, EndNode)]

    def _sinks_of(self, ends: Iterable[EndNode]) -> list[Sink]:
        sinks: list[Sink] = []
        for end in ends:
            for sink, config in zip(end.sinks, end.configs, strict=True):
                sinks.append(self._sinks.setdefault(id(config), sink) if end.shares_sinks else sink)
        return sinks

    def _step(self, node: StepNode, step: StepDeclaration) -> StepDeclaration:
        if node.own_state is None:
            return step
        key = self._keys[node.parents[0]]
        name = _unused(step.computation.name, self._states)
        self._states.add(name)
        if key.is_there:
            state = StateDeclaration(name, node.own_state, (), step.computation.window)
            return replace(step, state=state)
        if key.is_partial:
            problem = Problem(
                f"the step {step.computation.name!r} has a state and is behind a merge() of "
                "pipelines of which only some have keys",
                "call key_by() or collect() before it",
            )
            self.mistakes.append(problem.at(step.place))
        state = StateDeclaration(name, node.own_state, None, step.computation.window)
        return replace(step, placement=StepKind.SINGLE_STATE, state=state)

    # Names

    def _name_of(self, draft: PipelineDraft, parent: Node) -> str:
        """Return a name for a pipeline without a source: what feeds it, and what it does."""
        feeding = [self.drafts[feed.pipeline] for feed in draft.feeds]
        names = [str(each.name) for each in feeding]
        if len({feed.pipeline for feed in draft.feeds}) > 1:
            name = " + ".join(dict.fromkeys(names))
        elif isinstance(parent, BranchNode | PortNode):
            labels = [names[0], _way_out(feeding[0], parent)]
            labels += [_label(draft)] if len(self._followers[parent]) > 1 else []
            name = " > ".join(labels)
        else:
            name = f"{names[0]} > {_label(draft)}"
        name = _unused(name, self._names)
        self._names.add(name)
        return name


def _way_out(feeding: PipelineDraft, node: BranchNode | PortNode) -> str:
    """Return what a branch or a port of a pipeline is called."""
    if isinstance(node, PortNode):
        # A step that has a mistake is not there.
        steps = feeding.steps[-1:]
        return "late" if Port.LATE in node.ports or not steps else steps[0].computation.name
    name = [*(each.name for each in feeding.branches), "others"][node.index]
    return f"branch {node.index}" if name == _LAMBDA else name


def _label(draft: PipelineDraft) -> str:
    """Return what distinguishes a pipeline from others that are fed by the same one."""
    if draft.steps:
        name = draft.steps[0].computation.name
        return "lambda" if name == _LAMBDA else name
    if draft.key is not None:
        return "collect" if not draft.key.name else "key_by"
    return "split" if draft.branches else "sinks"


def _unused(name: str, used: Iterable[str | None]) -> str:
    """Return ``name``, or with the first number from 2 on that makes it a new one."""
    taken, number = {*used}, 2
    found = name
    while found in taken:
        found, number = f"{name} {number}", number + 1
    return found
