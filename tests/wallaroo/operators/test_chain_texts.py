"""What is written for an application changes only on purpose, byte by byte."""

import pytest

from tests.wallaroo.operators.chain_applications import APPLICATIONS, FOLDER, texts_of


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_text_of_all_chains_is_as_stored(name: str) -> None:
    assert texts_of(name) == (FOLDER / f"{name}.txt").read_text()


def test_each_stored_text_belongs_to_an_application() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(APPLICATIONS)
