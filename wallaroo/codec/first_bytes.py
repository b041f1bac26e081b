"""Guesses, from its first bytes, what a stream is that cannot be cut into frames.

Most refused connections are a source and a sender that disagree on the framing. An error that names
the likely cause saves the user a packet capture.
"""

import re

_HTTP = re.compile(rb"(GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE|PRI) |HTTP/")
_TLS = re.compile(rb"\x16\x03[\x00-\x04]")
_TEXT = re.compile(rb"[\t\r\n\x20-\x7e\x80-\xff]{4}|[\t\x20-\x7e]{0,2}\r?\n\Z")
"""Matches also a short line that is the whole stream."""
_LENGTH = re.compile(rb"\x00{1,7}[^\x00]")

LOOKED_AT_BYTES = 16


def likely_cause(first_bytes: bytes, *, expects_lines: bool) -> str:
    """Return a sentence on the likely mistake behind ``first_bytes``; "" if none is likely."""
    if _HTTP.match(first_bytes):
        return "the sender speaks HTTP, and this source does not; is it a browser or a probe?"
    if _TLS.match(first_bytes):
        return "the sender starts TLS, which sources do not speak; let it send plain TCP"
    if expects_lines and _LENGTH.match(first_bytes):
        return (
            "the sender puts a length before each payload; let it send lines, or give the source "
            'framing="length"'
        )
    if not expects_lines and _TEXT.match(first_bytes):
        return (
            "the sender sends text without length headers; for lines give the source "
            'framing="newline"'
        )
    return ""
