"""What ``_compiled.pyx`` offers where it was built."""

def cut_frames(
    data: bytes,
    at: int,
    header_length: int,
    is_big_endian: bool,
    frame_bytes_max: int,
    payloads: list[bytes],
) -> int: ...
