"""Both pipelines on one state object, as the cluster runs them for one symbol."""

import struct

import market_spread
import pytest
from market_spread import Order, Quote, Rejection, SymbolData

ORDER = Order(number=17, symbol="OWL", side="buy", quantity=300, price=4510)


def test_an_order_is_read_from_its_payload():
    payload = struct.pack(">Q4scII", 17, b"OWL ", b"B", 300, 4510)
    assert market_spread.decode_order(payload) == ORDER


def test_a_side_that_is_neither_buy_nor_sell_is_an_error():
    with pytest.raises(KeyError):
        market_spread.decode_order(struct.pack(">Q4scII", 17, b"OWL ", b"X", 300, 4510))


def test_a_quote_is_read_from_its_payload():
    payload = struct.pack(">4sII", b"PIKE", 990, 1010)
    assert market_spread.decode_quote(payload) == Quote("PIKE", bid=990, offer=1010)


def test_orders_and_quotes_of_a_symbol_share_its_state():
    assert market_spread.symbol_of(ORDER) == market_spread.symbol_of(Quote("OWL", 1, 2)) == "OWL"


def test_a_symbol_without_a_quote_is_closed():
    rejection, _save_state = market_spread.check_order(ORDER, SymbolData())
    assert rejection == Rejection(ORDER, bid=0, offer=0)


@pytest.mark.parametrize(
    ("bid", "offer", "is_rejected"),
    [(4500, 4510, False), (3900, 4099, False), (3900, 4100, True), (3000, 5000, True)],
)
def test_an_order_is_rejected_from_five_percent_of_the_mid_price_on(bid, offer, is_rejected):
    state = SymbolData()
    nothing, _save_state = market_spread.update_symbol(Quote("OWL", bid, offer), state)
    assert nothing is None
    rejection, _save_state = market_spread.check_order(ORDER, state)
    assert (rejection is not None) == is_rejected


def test_a_symbol_opens_again_with_a_better_quote():
    state = SymbolData()
    market_spread.update_symbol(Quote("OWL", 3000, 5000), state)
    market_spread.update_symbol(Quote("OWL", 4500, 4510), state)
    assert market_spread.check_order(ORDER, state)[0] is None


def test_a_rejection_says_what_was_ordered_and_why_not():
    line = market_spread.encode_rejection(Rejection(ORDER, bid=3000, offer=5000))
    assert line == "order 17 to buy 300 OWL at 45.10 rejected: bid 30.00 offer 50.00\n"


def test_the_application_is_put_together_without_a_mistake():
    addresses = ["--in", "127.0.0.1:7010,127.0.0.1:7011", "--out", "127.0.0.1:7002"]
    assert market_spread.application_setup(addresses)
