"""An outline stays as it is, so that checkpoints of earlier releases can be used."""

import pytest

from tests.wallaroo.topology.outlines import STORED, stored_form

OUTLINES = STORED.read_text().rstrip("\n").split("\n\n")


@pytest.mark.parametrize("stored", OUTLINES, ids=[text.splitlines()[0] for text in OUTLINES])
def test_the_outline_is_as_stored(stored: str) -> None:
    assert stored_form(stored.splitlines()[0].removeprefix("# ")) == stored
