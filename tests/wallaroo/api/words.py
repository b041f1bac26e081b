"""Functions over lines and words, for pipelines whose declarations are of interest, and what is
wrong with such a declaration."""

from collections.abc import Callable

import pytest

import wallaroo
from wallaroo import WallarooParameterError


@wallaroo.decoder
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.encoder
def encode(record: object) -> str:
    return f"{record}\n"


@wallaroo.key_extractor
def first_letter(record: str) -> str:
    return record[0]


@wallaroo.computation("upper")
def upper(record: str) -> str:
    return record.upper()


@wallaroo.computation_multi("split")
def split(record: str) -> list[str]:
    return record.split()


@wallaroo.state_computation("pair")
def pair(record: str, state: dict[str, int]) -> tuple[str, bool]:
    return record, True


def mistakes_of(build: Callable[[], object]) -> list[str]:
    """Return the mistakes that ``build`` reports, with their places."""
    with pytest.raises(WallarooParameterError) as caught:
        build()
    return [*caught.value.mistakes]
