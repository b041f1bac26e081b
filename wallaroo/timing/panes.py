"""One pane: the accumulators of all keys in a span of time, as a list of layers.

A **layer** is a dict from key to accumulator that never changes again. The **live** dict is the one
that chains add to. At each barrier, and when a window of the pane is due, the live dict is set
aside as a layer and a new one begins: this takes no time, however many keys there are. A layer that
no checkpoint has yet is exactly what the next checkpoint has to write. There is no mark for each
record and no copy on write.

There are two kinds of layers. A **delta** has what was added since the layer below: its
accumulators are merged with those below. A **base** replaces them, key by key, and ``None`` in it
means that the key is gone. With an aggregation that can merge, layers are deltas, except for keys
that moved here from another worker. Without one (and if somebody looks at each accumulator while it
grows, as ``until`` does) all layers are bases: the first record of a key after a barrier moves its
accumulator up into the live dict. While no checkpoint has that layer, the accumulator is copied.

The danger of deltas: if ``merge`` changes one of its arguments, it changes a layer, and results are
wrong without any error. ``check_aggregation`` finds such a function.
"""

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from wallaroo.timing.instants import BEFORE_ALL
from wallaroo.timing.window_spec import AggregationSpec

Merge = Callable[[Any, Any], Any]

LAYERS_MAX = 4
"""Saved layers beyond this number are merged, two of similar size at a time."""

_MISSING = object()


class Layer:
    """Accumulators that were set aside; the dict never changes again."""

    __slots__ = ("accumulators", "born", "is_base", "is_saved", "was_shown")

    def __init__(
        self, accumulators: dict[Any, Any], born: int, *, is_base: bool, is_saved: bool = False
    ) -> None:
        self.accumulators = accumulators
        self.born = born
        """The clock when the first record was added: it was late for all windows due by then."""
        self.is_base = is_base
        self.is_saved = is_saved
        """Whether a checkpoint that is committed has it, or there are none."""
        self.was_shown = False
        """Whether early results have shown what is in it."""

    def mark_saved(self) -> None:
        """Note that a checkpoint is committed that has this layer."""
        self.is_saved = True

    def mark_shown(self) -> None:
        """Note that early results have shown what is in it."""
        self.was_shown = True


class Found(NamedTuple):
    """What a chain binds to add records to a pane, until the next barrier or advance of the clock.

    For a record at ``low <= time < high``: the accumulator is ``get(key)``, or ``missing(key)`` if
    that is ``None``. The aggregation updates it, and then a new one is put into ``accumulators``:
    a key has no window if the update of its only record has raised.
    """

    low: int
    high: int
    accumulators: dict[Any, Any]
    get: Callable[[Any], Any]
    missing: Callable[[Any], Any]


class Failed(NamedTuple):
    """An accumulator that could not be made: the user's ``merge`` has raised."""

    key: Any
    error: BaseException


class Pane:
    """The accumulators of one span of time."""

    def __init__(
        self,
        start: int,
        end: int,
        aggregation: AggregationSpec,
        merge: Merge | None,
        *,
        tracks_changes: bool,
    ) -> None:
        """With ``tracks_changes`` checkpoints are on."""
        self.start = start
        self.end = end
        self._tracks_changes = tracks_changes
        self._aggregation = aggregation
        self._merge = merge
        """``None`` if all layers are bases."""
        self.live: dict[Any, Any] = {}
        self.layers: list[Layer] = []
        """The oldest first."""
        self.unsaved: list[Layer] = []
        """Layers that the next checkpoint has to write."""
        self._unmergeable: set[Any] = set()
        """Keys whose window fails: what comes for them from other workers is not kept."""
        self.counts: dict[Any, int] = {}
        """Records of each key since its last early result, if those are counted."""
        self._born = BEFORE_ALL
        self._folded: dict[Any, Any] | None = None
        """All layers as one, kept if several windows have this pane."""
        self._removal_count = 0
        """How often keys were taken out of layers, which never change otherwise."""

    def begin(self, clock: int) -> None:
        """Note the clock at the first record of the live dict."""
        if not self.live:
            self._born = clock

    def found(self) -> Found:
        """Return what a chain binds to add records."""
        live = self.live
        missing = self._raise_up if self._merge is None else self._new
        return Found(self.start, self.end, live, live.get, missing)

    def add(self, key: Any, record: Any, time: int) -> Any:
        """Add a record as a chain does; return the accumulator in the live dict."""
        accumulator = self.live.get(key)
        if accumulator is None:
            accumulator = self._raise_up(key) if self._merge is None else self._new(key)
        accumulator = self._aggregation.updated(record, accumulator, time)
        self.live[key] = accumulator
        return accumulator

    def add_partial(self, keys: list[Any], accumulators: list[Any], clock: int) -> None:
        """Add accumulators of records that were combined elsewhere; the clock is ``clock`` now."""
        assert self._merge is not None
        merge, live, get = self._merge, self.live, self.live.get
        apart: dict[Any, Any] = {}
        for key, accumulator in zip(keys, accumulators, strict=True):
            if key in self._unmergeable:
                # Kept apart each time, it would take more and more memory.
                continue
            below = get(key)
            if below is None:
                live[key] = accumulator
                continue
            try:
                live[key] = merge(below, accumulator)
            except BaseException:  # noqa: BLE001  the window reports it, when it merges its layers
                apart[key] = accumulator
        if apart:
            self._unmergeable.update(apart)
            self.set_aside()
            self.begin(clock)
            self.live.update(apart)

    def counted(self, key: Any) -> int:
        """Count a record of a key; return how many there were since its last early result."""
        count = self.counts[key] = self.counts.get(key, 0) + 1
        return count

    def forget(self, key: Any) -> None:
        """Forget a key, whose window is over before its end; all layers are bases."""
        assert self._merge is None
        if any(key in layer.accumulators for layer in self.layers):
            self.live[key] = None
        else:
            self.live.pop(key, None)
        self.counts.pop(key, None)

    def set_aside(self) -> Layer | None:
        """Make the live dict a layer, and begin another; return the layer, if there is anything."""
        if not self.live:
            return None
        layer = Layer(self.live, self._born, is_base=self._merge is None)
        self.live = {}
        self._put(layer)
        return layer

    def take_unsaved(self) -> list[Layer]:
        """Return the layers that no checkpoint has, which the next one writes."""
        unsaved, self.unsaved = self.unsaved, []
        return unsaved

    def put_back_unsaved(self, layer: Layer) -> None:
        """Note that a layer was not saved after all."""
        self.unsaved.insert(0, layer)

    def put_base(self, accumulators: dict[Any, Any]) -> None:
        """Add keys that moved here from another worker, as they were there."""
        self.set_aside()
        self._put(Layer(accumulators, BEFORE_ALL, is_base=True))

    def restore(
        self, keys: Sequence[Any], accumulators: Sequence[Any], *, is_base: bool
    ) -> list[Failed]:
        """Add what one chunk of a checkpoint has, the oldest first; return keys whose merge failed,
        which are dropped. Windows that were due and not fired have all of it."""
        failures: list[Failed] = []
        if not self.layers:
            self.layers.append(Layer({}, BEFORE_ALL, is_base=True, is_saved=True))
        restored = self.layers[0].accumulators
        for key, accumulator in zip(keys, accumulators, strict=True):
            below = restored.get(key)
            if accumulator is None:
                restored.pop(key, None)
            elif below is None or is_base or self._merge is None:
                restored[key] = accumulator
            else:
                try:
                    restored[key] = self._merge(below, accumulator)
                except BaseException as error:  # noqa: BLE001  the user's function may raise anything
                    del restored[key]
                    failures.append(Failed(key, error))
        return failures

    def remove(self, keys: Iterable[Any]) -> None:
        """Remove keys that have moved to another worker."""
        self.set_aside()
        found = self.all_keys().intersection(keys)
        for key in found:
            for layer in self.layers:
                layer.accumulators.pop(key, None)
            self.counts.pop(key, None)
        self._unmergeable -= found
        self._folded = None
        self._removal_count += 1
        if found and self._tracks_changes:
            # Older checkpoints may have these keys here. If one comes back after it has fired
            # elsewhere, it must not be found in them.
            self._put(Layer(dict.fromkeys(found), BEFORE_ALL, is_base=True))

    def delete(self, key: Any) -> bool:
        """Delete a key, also while a checkpoint writes it; return whether it was here."""
        self.set_aside()
        if self.folded_key(key) is None:
            return False
        self._put(Layer({key: None}, BEFORE_ALL, is_base=True))
        self.counts.pop(key, None)
        return True

    def mark_unsaved(self) -> None:
        """Let the next checkpoint write all layers."""
        self.set_aside()
        self.unsaved = [*self.layers]
        for layer in self.layers:
            layer.is_saved = False

    def rebase(self, keys: Iterable[Any]) -> None:
        """Let the next checkpoint write these keys as a whole, so that it does not need what older
        ones have of them. No window of this pane may be due."""
        self.set_aside()
        whole = {key: self.folded_key(key) for key in self.all_keys().intersection(keys)}
        if whole:
            self._put(Layer(whole, max(layer.born for layer in self.layers), is_base=True))

    def folded_key(self, key: Any, due_at: int | None = None) -> Any:
        """Return the accumulator of one key, or ``None``; without layers that are late at
        ``due_at``."""
        total = None
        for layer in self._all_layers():
            if due_at is not None and layer.born >= due_at:
                continue
            accumulator = layer.accumulators.get(key, _MISSING)
            if accumulator is _MISSING:
                continue
            if total is None or layer.is_base:
                total = accumulator
            else:
                assert self._merge is not None
                total = self._merge(total, accumulator)
        return total

    def folded(
        self, due_at: int, step: int, failures: list[Failed], *, is_kept: bool
    ) -> Iterator[dict[Any, Any] | None]:
        """Merge the layers that a window has, ``step`` keys at a time: yield ``None`` after each
        step, and in the end the dict, which must not be changed.

        ``is_kept`` says that other windows have this pane, too.
        """
        if self._folded is not None:
            yield self._folded
            return
        layers = [layer for layer in self.layers if layer.born < due_at]
        if len(layers) == 1 and not layers[0].is_base:
            yield layers[0].accumulators
            return
        total: dict[Any, Any] = {}
        for layer in layers:
            merge = None if layer.is_base else self._merge
            for _ in merged_into(total, layer.accumulators, merge, step, failures):
                yield None
        if is_kept and len(layers) == len(self.layers):
            self._folded = total
        yield total

    def layers_to_merge(self, layers_max: int = LAYERS_MAX) -> tuple[Layer, Layer] | None:
        """Return two layers that should become one, if there are too many."""
        if len(self.layers) <= layers_max:
            return None
        # A delta over a base must not be merged with it, if there is something below the base:
        # what is only in the delta would replace what is below.
        pairs = [
            (lower, upper)
            for index, (lower, upper) in enumerate(zip(self.layers, self.layers[1:], strict=False))
            if lower.is_saved
            and upper.is_saved
            and (lower.is_base == upper.is_base or (index == 0 and not upper.is_base))
        ]
        return min(pairs, key=_size, default=None)

    def merged(self, lower: Layer, upper: Layer, step: int) -> Iterator[None]:
        """Replace two layers by one, ``step`` keys at a time."""
        total: dict[Any, Any] = {}
        failures: list[Failed] = []
        removal_count = self._removal_count
        yield from merged_into(total, lower.accumulators, None, step, failures)
        merge = None if upper.is_base else self._merge
        yield from merged_into(total, upper.accumulators, merge, step, failures)
        are_same = removal_count == self._removal_count
        # If the user's merge raises, the window reports it, so the two stay as they are.
        if not failures and are_same and lower in self.layers and upper in self.layers:
            both = Layer(total, lower.born, is_base=lower.is_base, is_saved=True)
            if lower.was_shown and upper.was_shown:
                both.mark_shown()
            index = self.layers.index(lower)
            self.layers[index : index + 2] = [both]

    def changed_keys(self) -> list[Any]:
        """Return the keys that changed since the last early results; they count as shown."""
        self.set_aside()
        layers = [layer for layer in self.layers if not layer.was_shown]
        for layer in layers:
            layer.mark_shown()
        return [*dict.fromkeys(key for layer in layers for key in layer.accumulators)]

    def all_keys(self) -> set[Any]:
        """Return all keys that have an accumulator."""
        found: set[Any] = set()
        for layer in self._all_layers():
            found.update(layer.accumulators)
            found -= {key for key, accumulator in layer.accumulators.items() if accumulator is None}
        return found

    def _all_layers(self) -> list[Layer]:
        if not self.live:
            return self.layers
        return [*self.layers, Layer(self.live, self._born, is_base=self._merge is None)]

    def _put(self, layer: Layer) -> None:
        self.layers.append(layer)
        self._folded = None
        if self._tracks_changes:
            self.unsaved.append(layer)
        else:
            layer.mark_saved()

    def _new(self, key: Any) -> Any:
        return self._aggregation.initial()

    def _raise_up(self, key: Any) -> Any:
        """Return the accumulator of a key that is not in the live dict, or a new one."""
        if key not in self.live:
            for layer in reversed(self.layers):
                accumulator = layer.accumulators.get(key, _MISSING)
                if accumulator is None:
                    break
                if accumulator is not _MISSING:
                    # The checkpoint that is being written has it as it was at the barrier.
                    return accumulator if layer.is_saved else _copy(accumulator)
        return self._aggregation.initial()


def merged_into(
    total: dict[Any, Any],
    above: dict[Any, Any],
    merge: Merge | None,
    step: int,
    failures: list[Failed],
) -> Iterator[None]:
    """Merge ``above`` into ``total``, ``step`` keys at a time; without ``merge`` it replaces.

    If ``merge`` raises for a key, the key is not in the total, and is added to ``failures``.
    """
    get = total.get
    broken = {failed.key for failed in failures}
    items = iter(above.items())
    while chunk := list(islice(items, step)):
        for key, accumulator in chunk:
            below = get(key)
            try:
                if accumulator is None:
                    total.pop(key, None)
                elif below is None or merge is None:
                    if key not in broken:
                        total[key] = accumulator
                else:
                    total[key] = merge(below, accumulator)
            except BaseException as error:  # noqa: BLE001  the user's function may raise anything
                total.pop(key, None)
                broken.add(key)
                failures.append(Failed(key, error))
        yield


def _size(pair: tuple[Layer, Layer]) -> int:
    return len(pair[0].accumulators) + len(pair[1].accumulators)


def _copy(accumulator: Any) -> Any:
    return pickle.loads(pickle.dumps(accumulator, pickle.HIGHEST_PROTOCOL))
