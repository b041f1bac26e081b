"""The proof of the secret, both ways, whatever the peer sends and however it is cut."""

from collections.abc import Callable

import pytest

from wallaroo.errors import ProtocolError
from wallaroo.wire.handshake import MAGIC, NONCE_BYTES, PROOF_BYTES, Handshake, Purpose, Side

SECRET = b"secret of this run"
OPENING_BYTES = len(MAGIC) + NONCE_BYTES


def dialer(secret: bytes = SECRET, purpose: Purpose = Purpose.CONTROL) -> Handshake:
    return Handshake(Side.DIALER, purpose, secret, b"d" * NONCE_BYTES)


def listener(secret: bytes = SECRET, purpose: Purpose = Purpose.CONTROL) -> Handshake:
    return Handshake(Side.LISTENER, purpose, secret, b"l" * NONCE_BYTES)


def conversation() -> tuple[bytes, bytes, bytes]:
    """Return what the dialer sends, the listener answers, and the dialer proves."""
    dials, listens = dialer(), listener()
    opening = dials.first_bytes()
    answer = listens.receive_data(opening)
    return opening, answer, dials.receive_data(answer)


def test_both_sides_are_done_when_each_has_proven_itself() -> None:
    dials, listens = dialer(), listener()
    assert listens.first_bytes() == b""
    opening = dials.first_bytes()
    answer = listens.receive_data(opening)
    assert (dials.is_done, listens.is_done) == (False, False)
    proof = dials.receive_data(answer)
    assert (dials.is_done, listens.is_done) == (True, False)
    assert listens.receive_data(proof) == b""
    assert (dials.is_done, listens.is_done) == (True, True)
    assert dials.rest == listens.rest == b""


def test_the_parts_have_the_lengths_that_are_documented() -> None:
    assert [len(part) for part in conversation()] == [
        OPENING_BYTES,
        OPENING_BYTES + PROOF_BYTES,
        PROOF_BYTES,
    ]


def test_any_split_of_the_dialers_bytes_convinces_the_listener() -> None:
    opening, answer, proof = conversation()
    data = opening + proof + b"rest"
    for first in range(len(data) + 1):
        listens = listener()
        answers = listens.receive_data(data[:first]) + listens.receive_data(data[first:])
        assert answers == answer
        assert listens.rest == b"rest"


def test_any_split_of_the_listeners_bytes_convinces_the_dialer() -> None:
    _, answer, proof = conversation()
    for first in range(len(answer)):
        dials = dialer()
        assert dials.receive_data(answer[:first]) == b""
        assert not dials.is_done
        assert dials.receive_data(answer[first:] + b"rest") == proof
        assert dials.rest == b"rest"


def test_byte_by_byte_is_enough() -> None:
    opening, answer, proof = conversation()
    listens, dials = listener(), dialer()
    assert b"".join(listens.receive_data(bytes((byte,))) for byte in opening + proof) == answer
    assert b"".join(dials.receive_data(bytes((byte,))) for byte in answer) == proof
    assert listens.is_done
    assert dials.is_done


def test_the_dialer_refuses_a_listener_with_another_secret() -> None:
    answer = listener(b"another").receive_data(dialer().first_bytes())
    with pytest.raises(ProtocolError, match="does not know this cluster's secret"):
        dialer().receive_data(answer)


def test_the_listener_refuses_a_dialer_with_another_secret() -> None:
    liar, listens = dialer(b"another"), listener()
    listens.receive_data(liar.first_bytes())
    with pytest.raises(ProtocolError, match="does not know this cluster's secret"):
        listens.receive_data(b"p" * PROOF_BYTES)
    assert not listens.is_done


@pytest.mark.parametrize("part", [0, 1, 2])
def test_one_bit_changed_anywhere_is_refused(part: int) -> None:
    for bit in range(8 * len(conversation()[part])):
        parts = [bytearray(each) for each in conversation()]
        parts[part][bit // 8] ^= 1 << bit % 8
        opening, answer, proof = map(bytes, parts)
        dials, listens = dialer(), listener()
        with pytest.raises(ProtocolError):
            if part == 1:
                dials.receive_data(answer)
            else:
                listens.receive_data(opening + proof)


def test_a_proof_for_another_purpose_is_none() -> None:
    dials, listens = dialer(purpose=Purpose.DATA), listener(purpose=Purpose.CONTROL)
    answer = listens.receive_data(dials.first_bytes())
    with pytest.raises(ProtocolError, match="secret"):
        dials.receive_data(answer)


def test_the_listeners_own_proof_sent_back_is_none() -> None:
    listens = listener()
    answer = listens.receive_data(dialer().first_bytes())
    with pytest.raises(ProtocolError, match="secret"):
        listens.receive_data(answer[-PROOF_BYTES:])


def test_an_older_conversation_cannot_be_played_again() -> None:
    opening, answer, proof = conversation()
    fresh_listener = Handshake(Side.LISTENER, Purpose.CONTROL, SECRET, b"x" * NONCE_BYTES)
    with pytest.raises(ProtocolError, match="secret"):
        fresh_listener.receive_data(opening + proof)
    fresh_dialer = Handshake(Side.DIALER, Purpose.CONTROL, SECRET, b"x" * NONCE_BYTES)
    with pytest.raises(ProtocolError, match="secret"):
        fresh_dialer.receive_data(answer)


def test_a_peer_that_sends_our_own_nonce_back_is_refused() -> None:
    dials, listens = dialer(), listener()
    with pytest.raises(ProtocolError, match="own nonce"):
        dials.receive_data(dials.first_bytes() + b"p" * PROOF_BYTES)
    with pytest.raises(ProtocolError, match="own nonce"):
        listens.receive_data(MAGIC + b"l" * NONCE_BYTES)


@pytest.mark.parametrize("make", [dialer, listener])
@pytest.mark.parametrize("at", range(len(MAGIC)))
def test_an_unauthenticated_peer_is_refused_at_its_first_wrong_byte(
    make: Callable[[], Handshake], at: int
) -> None:
    handshake = make()
    for byte in MAGIC[:at]:
        assert handshake.receive_data(bytes((byte,))) == b""
    with pytest.raises(ProtocolError, match="does not speak this release's protocol"):
        handshake.receive_data(bytes((MAGIC[at] ^ 0xFF,)))


def test_an_unauthenticated_peer_gets_not_a_byte_of_answer() -> None:
    listens = listener()
    with pytest.raises(ProtocolError):
        listens.receive_data(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n" * 9)
    assert not listens.is_done


def test_nobody_reads_on_before_the_proof() -> None:
    listens = listener()
    listens.receive_data(dialer().first_bytes())
    with pytest.raises(AssertionError):
        _ = listens.rest
