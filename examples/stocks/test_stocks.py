"""The state class is plain Python, so its rules are tested without any stream."""

import pytest
import stocks
from stocks import Price, Stock, Summary


def test_a_payload_is_a_symbol_and_a_price():
    assert stocks.decode_price(b"FJRD,101.25") == Price("FJRD", 101.25)


def test_a_line_without_a_price_is_dropped():
    assert stocks.decode_price(b"# market opens") is None


def test_a_price_that_is_no_number_is_an_error():
    with pytest.raises(ValueError, match="could not convert"):
        stocks.decode_price(b"FJRD,many")


def test_prices_go_to_the_state_of_their_symbol():
    assert stocks.symbol_of(Price("FJRD", 101.25)) == "FJRD"


def test_a_stock_remembers_its_last_lowest_and_highest_price():
    stock = Stock()
    for price in (10.0, 8.5, 12.0):
        summary, _save_state = stocks.update_stock(Price("FJRD", price), stock)
    assert summary == Summary("FJRD", last=12.0, low=8.5, high=12.0, count=3)


def test_the_output_is_a_line_of_text():
    line = stocks.encode_summary(Summary("FJRD", 12.0, 8.5, 12.25, 3))
    assert line == "FJRD last 12.00 low 8.50 high 12.25 after 3\n"


def test_the_application_is_put_together_without_a_mistake():
    assert stocks.application_setup(["--in", "127.0.0.1:7010", "--out", "127.0.0.1:7002"])
