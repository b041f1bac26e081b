"""The likely cause behind a stream that cannot be cut."""

import pytest

from wallaroo.codec.first_bytes import likely_cause


@pytest.mark.parametrize("method", [b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.0", b"HTTP/1.1 200 OK"])
@pytest.mark.parametrize("expects_lines", [True, False])
def test_http_is_named_whatever_the_source_expects(method: bytes, expects_lines: bool) -> None:
    assert "speaks HTTP" in likely_cause(method, expects_lines=expects_lines)


@pytest.mark.parametrize("expects_lines", [True, False])
def test_the_first_bytes_of_tls_are_named(expects_lines: bool) -> None:
    hello = bytes.fromhex("16030102000100")
    assert "starts TLS" in likely_cause(hello, expects_lines=expects_lines)


@pytest.mark.parametrize(
    "first", [b"hello world\n", b'{"user": 1}\n', "Zürich\n".encode(), b"hi\n"]
)
def test_text_for_a_source_of_frames_is_a_sender_of_lines(first: bytes) -> None:
    assert 'framing="newline"' in likely_cause(first, expects_lines=False)
    assert likely_cause(first, expects_lines=True) == ""


@pytest.mark.parametrize("first", [b"\x00\x00\x00\x05hello", b"\x00\x05hello"])
def test_lengths_for_a_source_of_lines_are_a_sender_of_frames(first: bytes) -> None:
    assert 'framing="length"' in likely_cause(first, expects_lines=True)


@pytest.mark.parametrize("first", [b"", b"\xff", b"\x7f\xff\xff\xff", b"\x01\x02\x03\x04"])
@pytest.mark.parametrize("expects_lines", [True, False])
def test_nothing_is_guessed_of_bytes_that_could_be_anything(
    first: bytes, expects_lines: bool
) -> None:
    assert likely_cause(first, expects_lines=expects_lines) == ""
