import pickle
import struct
from typing import Any

import pytest

import wallaroo
from wallaroo.api.codecs import decoder_mistakes, encoder_mistakes
from wallaroo.topology.graph import SourceLocation

PLACE = SourceLocation("app.py", 9)


@wallaroo.partition
def first_letter(record: str) -> str:
    return record[0]


@wallaroo.decoder(2, ">H")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.decoder()
def decode_usual(payload: bytes) -> bytes:
    return payload


@wallaroo.encoder
def encode(record: str) -> bytes:
    return record.encode()


def plain(payload: bytes) -> bytes:
    return payload


class OldDecoder:
    def header_length(self) -> int:
        return 4

    def payload_length(self, header: bytes) -> int:
        return int.from_bytes(header, "big")

    def decode(self, payload: bytes) -> bytes:
        return payload


def test_objects_can_be_called_and_have_their_methods() -> None:
    assert first_letter("abc") == first_letter.partition("abc") == "a"
    assert decode(b"abc") == decode.decode(b"abc") == "abc"
    assert encode("abc") == encode.encode("abc") == b"abc"


def test_a_decoder_tells_the_length_of_a_payload() -> None:
    assert decode.header_length() == 2
    assert decode.payload_length(b"\x01\x02") == 258
    assert (decode_usual.header_length(), decode_usual.length_fmt) == (4, ">I")


@pytest.mark.parametrize("thing", [first_letter, decode, encode])
def test_pickle_refers_to_the_module(thing: Any) -> None:
    assert pickle.loads(pickle.dumps(thing)) is thing


@pytest.mark.parametrize("length_fmt", ["B", ">H", "<i", "=I", "!Q", "1Q"])
def test_any_one_integer_makes_a_header(length_fmt: str) -> None:
    assert not wallaroo.decoder(struct.calcsize(length_fmt), length_fmt)(plain).mistakes


@pytest.mark.parametrize(
    ("header_length", "length_fmt", "seen"),
    [
        (4, ">Z", "length_fmt '>Z' is not a struct format"),
        (4, "\N{BULLET}", "is not a struct format"),
        (4, 5, "length_fmt is the int 5"),
        (4, ">HH", "is not exactly one integer"),
        (4, ">f", "is not exactly one integer"),
        (4, "4s", "is not exactly one integer"),
        (4, ">xxH", "is not exactly one integer"),
        (1, "?", "is not exactly one integer"),
        (2, ">I", "length_fmt '>I' is 4 bytes, but header_length is 2"),
        (0, ">I", "header_length is 0; give 1 to 8 bytes"),
        (9, ">I", "header_length is 9; give 1 to 8 bytes"),
        (True, "B", "header_length is True"),
        ("4", ">I", "header_length is the str '4'"),
    ],
)
def test_a_header_that_cannot_be_is_a_mistake(
    header_length: Any, length_fmt: Any, seen: str
) -> None:
    mistaken = wallaroo.decoder(header_length, length_fmt)(plain)
    (mistake,) = mistaken.mistakes
    assert seen in mistake
    with pytest.raises(wallaroo.WallarooParameterError):
        mistaken.payload_length(b"1234")


def test_a_decoder_without_parentheses_is_for_lines_only() -> None:
    bare = wallaroo.decoder(plain)
    assert bare.mistakes == ()
    assert bare.decode(b"line") == plain(b"line")
    assert decoder_mistakes(bare, PLACE, needs_header=False) == ()
    (mistake,) = decoder_mistakes(bare, PLACE)
    assert mistake.endswith(
        '@wallaroo.decoder is written without parentheses; write @wallaroo.decoder(4, ">I"), '
        'or give the source framing="newline" if it takes lines'
    )
    for ask in (bare.header_length, lambda: bare.payload_length(b"1234")):
        with pytest.raises(wallaroo.WallarooParameterError, match="without parentheses"):
            ask()


def test_an_encoder_that_is_not_callable_is_a_mistake() -> None:
    not_callable: Any = "name"
    (mistake,) = wallaroo.encoder(not_callable).mistakes
    assert "what @wallaroo.encoder decorates is the str 'name'" in mistake


def test_a_decoder_in_class_style_is_sound() -> None:
    assert decoder_mistakes(OldDecoder(), PLACE) == ()
    assert decoder_mistakes(decode, PLACE) == ()


def test_a_decoder_that_lacks_methods_is_a_mistake_at_the_place_of_use() -> None:
    (mistake,) = decoder_mistakes(encode, PLACE)
    assert mistake == (
        "app.py:9: the decoder is the Encoder encode, which has no header_length() and no "
        "payload_length() and no decode(); decorate a function with "
        "@wallaroo.decoder(header_length, length_fmt)"
    )


def test_a_decoder_in_class_style_needs_only_decode_for_lines() -> None:
    class LineDecoder:
        def decode(self, payload: bytes) -> str:
            return payload.decode()

    assert decoder_mistakes(LineDecoder(), PLACE, needs_header=False) == ()
    assert decoder_mistakes(OldDecoder(), PLACE, needs_header=False) == ()
    (mistake,) = decoder_mistakes(encode, PLACE, needs_header=False)
    assert mistake == (
        "app.py:9: the decoder is the Encoder encode, which has no decode(); decorate a function "
        "with @wallaroo.decoder"
    )


def test_the_header_of_a_decoder_in_class_style_is_checked() -> None:
    class Wide(OldDecoder):
        def header_length(self) -> int:
            return 16

    class Broken(OldDecoder):
        def header_length(self) -> int:
            raise ValueError("no header")

    assert decoder_mistakes(Wide(), PLACE) == ("app.py:9: header_length is 16; give 1 to 8 bytes",)
    (mistake,) = decoder_mistakes(Broken(), PLACE)
    assert "raised ValueError: no header" in mistake


def test_an_encoder_needs_encode() -> None:
    class OldEncoder:
        def encode(self, record: str) -> str:
            return record

    assert encoder_mistakes(OldEncoder(), PLACE) == ()
    assert encoder_mistakes(encode, PLACE) == ()
    (mistake,) = encoder_mistakes(OldEncoder, PLACE)
    assert mistake.endswith("give an object of it: OldEncoder()")
