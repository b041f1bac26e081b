"""An outline stays as it is, so that checkpoints of earlier releases can be used."""

import pytest

from tests.wallaroo.topology.outlines import APPLICATIONS, STORED, stored_form

OUTLINES = STORED.read_text().rstrip("\n").split("\n\n")


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_outline_is_as_stored(name: str) -> None:
    assert stored_form(name) in OUTLINES


def test_each_stored_outline_belongs_to_an_application() -> None:
    assert {text.splitlines()[0] for text in OUTLINES} == {f"# {name}" for name in APPLICATIONS}
