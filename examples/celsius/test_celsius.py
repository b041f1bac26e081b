"""Each step by itself, and both as the chain that they are."""

import struct

import celsius
import pytest


def test_the_payload_is_a_big_endian_float():
    assert celsius.decode_celsius(struct.pack(">f", -12.5)) == -12.5


def test_a_payload_of_another_size_is_refused():
    with pytest.raises(struct.error):
        celsius.decode_celsius(b"\x00\x00")


@pytest.mark.parametrize(
    ("degrees", "text"), [(0, "32"), (100, "212"), (-40, "-40"), (36.5, "97.7")]
)
def test_the_two_steps_convert_a_temperature(degrees, text):
    assert celsius.move_zero(celsius.scale(degrees)) == pytest.approx(float(text))


def test_the_output_has_six_decimals():
    assert celsius.encode_fahrenheit(97.7) == "97.700000\n"


def test_the_application_is_put_together_without_a_mistake():
    assert celsius.application_setup(["--in", "127.0.0.1:7010", "--out", "127.0.0.1:7002"])
