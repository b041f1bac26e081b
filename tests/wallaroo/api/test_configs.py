from pathlib import Path
from typing import Any

import pytest

import wallaroo
from wallaroo.connectors.file import FileSink, FileSource
from wallaroo.connectors.generator import GeneratorSource
from wallaroo.connectors.tcp import TCPSink, TCPSource


@wallaroo.decoder(4, ">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.decoder
def decode_line(line: bytes) -> str:
    return line.decode()


@wallaroo.encoder
def encode(record: str) -> bytes:
    return record.encode()


class OldCodec:
    def header_length(self) -> int:
        return 3

    def payload_length(self, header: bytes) -> int:
        return int.from_bytes(header, "big")

    def decode(self, payload: bytes) -> bytes:
        return payload

    def encode(self, record: bytes) -> bytes:
        return record


class Count:
    def initial_value(self) -> int:
        return 0

    def apply(self, value: int) -> int | None:
        return value + 1 if value < 9 else None


@pytest.mark.parametrize("port", ["7010", 7010])
def test_a_tcp_source_knows_the_users_own_functions(port: Any) -> None:
    config = wallaroo.TCPSourceConfig("127.0.0.1", port, decode)
    assert config.mistakes == ()
    assert config.source() == TCPSource("127.0.0.1", 7010, 4, ">I", decode.function)


@pytest.mark.parametrize("decoder", [decode, decode_line])
def test_a_tcp_source_of_lines_has_no_header(decoder: Any) -> None:
    config = wallaroo.TCPSourceConfig("h", 7010, decoder, framing="newline")
    assert config.mistakes == ()
    assert config.source() == TCPSource("h", 7010, 0, "", decoder.function)
    assert config.source().describe() == "tcp source at h:7010, lines"
    assert "framing='newline'" in repr(config)


def test_a_tcp_source_of_frames_needs_a_header_and_names_the_way_to_take_lines() -> None:
    (mistake,) = wallaroo.TCPSourceConfig("h", 7010, decode_line).mistakes
    assert 'framing="newline"' in mistake


def test_the_framing_of_a_tcp_source_is_one_of_two() -> None:
    lines: Any = "lines"
    (mistake,) = wallaroo.TCPSourceConfig("h", 7010, decode_line, framing=lines).mistakes
    assert "the framing of TCPSourceConfig is the str 'lines'" in mistake
    assert 'give "length" or "newline"' in mistake


def test_a_decoder_in_class_style_gives_its_methods() -> None:
    codec = OldCodec()
    source = wallaroo.TCPSourceConfig("localhost", 0, codec).source()
    assert source == TCPSource("localhost", 0, 3, codec.payload_length, codec.decode)


def test_a_tcp_sink_knows_the_users_own_function() -> None:
    assert wallaroo.TCPSinkConfig("h", "1", encode).sink() == TCPSink("h", 1, encode.function)
    codec = OldCodec()
    assert wallaroo.TCPSinkConfig("h", 1, codec).sink() == TCPSink("h", 1, codec.encode)


def test_brackets_are_for_reading_only() -> None:
    source = wallaroo.TCPSourceConfig("[::1]", "7010", decode).source()
    assert source.host == "::1"
    assert source.address == "[::1]:7010"


def test_a_file_source_of_frames_has_the_decoders_header() -> None:
    config = wallaroo.FileSourceConfig("in.bin", decode)
    assert config.mistakes == ()
    assert config.source() == FileSource("in.bin", "length", 4, ">I", decode.function)
    codec = OldCodec()
    source = wallaroo.FileSourceConfig("in.bin", codec, framing="length").source()
    assert source == FileSource("in.bin", "length", 3, codec.payload_length, codec.decode)


@pytest.mark.parametrize("decoder", [decode, decode_line])
def test_a_file_source_of_lines_has_no_header(decoder: Any) -> None:
    config = wallaroo.FileSourceConfig(Path("folder") / "in.txt", decoder, "newline")
    assert config.mistakes == ()
    assert config.source() == FileSource("folder/in.txt", "newline", 0, "", decoder.function)


def test_frames_need_a_decoder_that_knows_their_header() -> None:
    (mistake,) = wallaroo.FileSourceConfig("in.bin", decode_line).mistakes
    assert "@wallaroo.decoder is written without parentheses" in mistake


def test_a_file_sink_knows_the_users_own_function() -> None:
    assert wallaroo.FileSinkConfig("out", encode).sink() == FileSink("out", encode.function)
    codec = OldCodec()
    assert wallaroo.FileSinkConfig(Path("out"), codec).sink() == FileSink("out", codec.encode)


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("", "the path of FileSinkConfig is the str ''; give a file, such as"),
        (None, "the path of FileSinkConfig is None; give a file"),
        (b"out", "the path of FileSinkConfig is the bytes b'out'"),
        ("a\0b", "the path of FileSinkConfig is the str 'a\\x00b'"),
        ("folder/", "the path of FileSinkConfig is the str 'folder/', a folder; give a file"),
    ],
)
def test_a_bad_path_waits_for_build(path: Any, seen: str) -> None:
    (mistake,) = wallaroo.FileSinkConfig(path, encode).mistakes
    assert seen in mistake


@pytest.mark.parametrize("framing", ["lines", None, 4, ["length"]])
def test_an_unknown_framing_waits_for_build(framing: Any) -> None:
    (mistake,) = wallaroo.FileSourceConfig("in", decode_line, framing).mistakes
    assert mistake.startswith("test_configs.py:")
    assert mistake.endswith('; give "length" or "newline"')


def test_a_generator_is_handed_on() -> None:
    generator = Count()
    assert wallaroo.GenSourceConfig(generator).source() == GeneratorSource(generator)


def test_a_generator_needs_both_methods() -> None:
    numbers: Any = [1, 2]
    (mistake,) = wallaroo.GenSourceConfig(numbers).mistakes
    assert mistake.startswith("test_configs.py:")
    assert "class list, which has no initial_value() and no apply()" in mistake
    not_made: Any = Count
    (mistake,) = wallaroo.GenSourceConfig(not_made).mistakes
    assert "give an object of it: Count()" in mistake


@pytest.mark.parametrize(
    ("host", "port", "seen"),
    [
        ("", 1, "the host of TCPSinkConfig is the str ''"),
        (5, 1, "the host of TCPSinkConfig is the int 5"),
        ("::1", 1, "the host of TCPSinkConfig is the str '::1'"),
        ("h", 0, "the port of TCPSinkConfig is the int 0; give a number from 1 to 65535"),
        ("h", "http", "the port of TCPSinkConfig is the str 'http'"),
        ("h", None, "the port of TCPSinkConfig is None"),
    ],
)
def test_a_bad_address_waits_for_build(host: Any, port: Any, seen: str) -> None:
    (mistake,) = wallaroo.TCPSinkConfig(host, port, encode).mistakes
    assert seen in mistake


def test_port_0_is_a_port_for_sources_only() -> None:
    assert wallaroo.TCPSourceConfig("h", "0", decode).mistakes == ()
    assert wallaroo.TCPSinkConfig("h", "0", encode).mistakes != ()


def test_all_mistakes_of_a_config_are_kept() -> None:
    decoder: Any = encode
    framing: Any = "x"
    assert len(wallaroo.TCPSourceConfig("", "x", decoder).mistakes) == 3
    assert len(wallaroo.FileSourceConfig("", decoder, framing).mistakes) == 3


def test_a_config_shows_how_it_was_made() -> None:
    five: Any = 5
    assert repr(wallaroo.TCPSinkConfig("h", "1", five)) == "TCPSinkConfig('h', '1', 5)"
    assert repr(wallaroo.TCPSourceConfig("h", 1, five)) == "TCPSourceConfig('h', 1, 5)"
    assert repr(wallaroo.FileSinkConfig("o", five)) == "FileSinkConfig('o', 5)"
    assert repr(wallaroo.FileSourceConfig("i", five)) == "FileSourceConfig('i', 5, 'length')"
    assert repr(wallaroo.GenSourceConfig(five)) == "GenSourceConfig(5)"
