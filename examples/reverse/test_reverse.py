"""A decorated function is still a function: test it by calling it."""

import reverse

import wallaroo


def test_a_line_is_turned_around():
    assert reverse.reverse("harbour") == "ruobrah"


def test_a_payload_is_text_in_utf_8():
    assert reverse.decode_line("brød".encode()) == "brød"


def test_every_line_of_output_ends():
    assert reverse.encode_line("ruobrah") == "ruobrah\n"


def test_the_application_is_put_together_without_a_mistake():
    assert reverse.application_setup(["--in", "127.0.0.1:7010", "--out", "127.0.0.1:7002"])


def test_an_address_is_needed_for_the_output():
    try:
        reverse.application_setup(["--in", "127.0.0.1:7010"])
    except wallaroo.WallarooError as error:
        assert "--out" in str(error)
    else:
        raise AssertionError("no error")
