"""The bytes of the original's external channel."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.errors import ProtocolError
from wallaroo.wire.external import ExternalId, ExternalMessage, decode_external, encode_external


@pytest.mark.parametrize(
    ("message", "data"),
    [
        (ExternalMessage(ExternalId.PRINT, "hé"), "00 00 00 05 00 01 68 c3 a9"),
        (ExternalMessage(ExternalId.CLUSTER_STATUS_QUERY), "00 00 00 02 00 09"),
        (ExternalMessage(ExternalId.CLUSTER_STATUS_NOT_INITIALIZED), "00 00 00 02 00 0b"),
        (ExternalMessage(ExternalId.SHRINK_RESPONSE, "no"), "00 00 00 04 00 06 6e 6f"),
    ],
)
def test_a_message_is_length_id_and_text(message: ExternalMessage, data: str) -> None:
    assert encode_external(message) == bytes.fromhex(data)


def test_ids_are_those_of_the_original() -> None:
    assert [each.value for each in ExternalId] == list(range(1, 27))


@given(st.sampled_from(ExternalId), st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_written_can_be_read(kind: ExternalId, text: str) -> None:
    message = ExternalMessage(kind, text)
    data = encode_external(message)
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    assert decode_external(data[4:]) == message


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "at least 2 bytes"),
        (b"\x00", "at least 2 bytes"),
        (b"\x00\x00", "no message with the id 0"),
        (b"\x00\x1b", "no message with the id 27"),
        (b"\xff\xfftext", "no message with the id 65535"),
        (b"\x00\x01\xff", "not UTF-8"),
    ],
)
def test_content_that_is_not_a_message_is_refused(content: bytes, problem: str) -> None:
    with pytest.raises(ProtocolError, match=problem):
        decode_external(content)
