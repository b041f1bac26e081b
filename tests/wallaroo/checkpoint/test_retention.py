"""Retention: nothing that a kept checkpoint needs ever goes, and the rest does."""

from hypothesis import given
from hypothesis import strategies as st

from wallaroo.checkpoint.manifest import manifest_name, part_name
from wallaroo.checkpoint.retention import Kept, checkpoint_of, deletable, retained


def part(checkpoint: int, number: int = 0) -> str:
    return part_name(checkpoint, "w1", 1, 0, number)


def one(number: int, *names: str, is_claim: bool = False) -> Kept:
    return Kept(number, is_claim, frozenset(names))


@st.composite
def histories(draw: st.DrawFn) -> list[Kept]:
    """Draw manifests as a run makes them: each needs parts of its own and of its predecessor."""
    made: list[Kept] = []
    names: frozenset[str] = frozenset()
    for number in range(1, draw(st.integers(0, 12)) + 1):
        is_claim = draw(st.booleans())
        if not is_claim:
            survivors = draw(st.sets(st.sampled_from(sorted(names)))) if names else set()
            names = frozenset(survivors) | {part(number)}
        made.append(Kept(number, is_claim, names))
    return made


@given(histories(), st.integers(1, 4))
def test_what_kept_checkpoints_need_stays_and_nothing_else(history: list[Kept], keep: int) -> None:
    stays = retained(history, keep)
    checkpoints = [kept.number for kept in history if not kept.is_claim]
    assert [kept.number for kept in stays if not kept.is_claim] == checkpoints[::-1][:keep]
    assert [kept.number for kept in stays[:1]] == [kept.number for kept in history[-1:]]

    everything = {name for kept in history for name in kept.object_names}
    everything |= {manifest_name(kept.number) for kept in history}
    left = everything - set(deletable(stays, everything))
    needed = {name for kept in stays for name in kept.object_names}
    assert {name for name in left if name.startswith("parts/")} == needed
    assert {manifest_name(kept.number) for kept in stays} <= left


@given(histories(), st.integers(1, 4))
def test_pruning_twice_deletes_nothing_more(history: list[Kept], keep: int) -> None:
    everything = {name for kept in history for name in kept.object_names}
    everything |= {manifest_name(kept.number) for kept in history}
    left = everything - set(deletable(retained(history, keep), everything))
    remaining = [kept for kept in history if manifest_name(kept.number) in left]
    assert deletable(retained(remaining, keep), left) == []


def test_what_is_being_written_for_the_next_checkpoint_stays() -> None:
    stays = [one(4, part(4))]
    names = [part(3), part(4), part(4, 1), part(5)]
    assert deletable(stays, names) == [part(3), part(4, 1)]


def test_the_number_of_a_claim_between_kept_checkpoints_is_not_made_free() -> None:
    history = [one(1), one(2, is_claim=True), one(3)]
    names = [manifest_name(number) for number in (1, 2, 3)]
    assert deletable(retained(history, 2), names) == []
    assert deletable(retained(history, 1), names) == [manifest_name(1), manifest_name(2)]


def test_without_a_manifest_and_of_other_names_nothing_goes() -> None:
    assert deletable([], [part(1), manifest_name(1)]) == []
    foreign = ["notes.txt", "parts/1/x", "parts/0000000001", "journals/w1-0000000001/0000000000"]
    # Seconds since 1970 have ten digits too.
    foreign += ["logs/0000000001/x", "0000000001/x", "more/parts/0000000001/x"]
    assert deletable([one(9)], foreign) == []


def test_at_least_one_checkpoint_is_kept() -> None:
    assert retained([one(1), one(2)], 0) == [one(2)]


def test_the_checkpoint_of_an_object_is_in_its_name() -> None:
    assert checkpoint_of(part(7)) == 7
    assert checkpoint_of(manifest_name(7)) is None
