"""How the applications in this folder read payloads and write lines."""

import wallaroo


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_bytes(payload: bytes) -> bytes:
    return payload


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_text(payload: bytes) -> str:
    return payload.decode()


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_pair(payload: bytes) -> tuple[str, int]:
    """Read a key and a number."""
    key, number = payload.decode().split()
    return key, int(number)


@wallaroo.partition
def key_of_pair(pair: tuple[str, int]) -> str:
    return pair[0]


@wallaroo.partition
def itself(text: str) -> str:
    """Return a text as its own key."""
    return text


@wallaroo.encoder
def encode_bytes(record: bytes) -> bytes:
    """Write a line."""
    return record + b"\n"


@wallaroo.encoder
def encode_text(record: str) -> str:
    """Write a line."""
    return record + "\n"


@wallaroo.encoder
def encode_pair(pair: tuple[str, int]) -> str:
    """Write a line."""
    return f"{pair[0]} {pair[1]}\n"
