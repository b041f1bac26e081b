# mypy: ignore-errors
"""Orders and market data merged, and a state for each symbol that both of them use."""

import struct

import wallaroo

FIXTYPE_ORDER = 1
FIXTYPE_MARKET_DATA = 2


def application_setup(args):
    order_addr, market_addr = wallaroo.tcp_parse_input_addrs(args)
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    orders = wallaroo.source("Orders", wallaroo.TCPSourceConfig(*order_addr, order_decoder))
    market_data = wallaroo.source(
        "Market Data", wallaroo.TCPSourceConfig(*market_addr, market_data_decoder)
    )
    pipeline = (
        orders.merge(market_data)
        .key_by(extract_symbol)
        .to(check_market_data)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, order_result_encoder))
    )
    return wallaroo.build_application("Market Spread", pipeline)


class MarketSpreadError(Exception):
    pass


class SymbolData:
    def __init__(self):
        self.bid = 0.0
        self.offer = 0.0
        self.rejects_trades = True


class Order:
    is_order = True

    def __init__(self, side, account, order_id, symbol, qty, price):
        self.side = side
        self.account = account
        self.order_id = order_id
        self.symbol = symbol
        self.qty = qty
        self.price = price


class MarketData:
    is_order = False

    def __init__(self, symbol, bid, offer):
        self.symbol = symbol
        self.bid = bid
        self.offer = offer


class OrderResult:
    def __init__(self, order, bid, offer):
        self.order = order
        self.bid = bid
        self.offer = offer


@wallaroo.key_extractor
def extract_symbol(data):
    return data.symbol


@wallaroo.state_computation(name="Check Market Data", state=SymbolData)
def check_market_data(data, state):
    if data.is_order:
        if state.rejects_trades:
            return OrderResult(data, state.bid, state.offer)
        return None
    spread = data.offer - data.bid
    mid = (data.bid + data.offer) / 2.0
    state.bid = data.bid
    state.offer = data.offer
    state.rejects_trades = spread >= 0.05 or spread / mid >= 0.05
    return None


@wallaroo.decoder(header_length=4, length_fmt=">I")
def order_decoder(bs):
    kind, side, account, order_id, symbol, qty, price, _ = struct.unpack(">BBI6s4sdd21s", bs)
    if kind != FIXTYPE_ORDER:
        raise MarketSpreadError("This is not an order. Are the senders the wrong way around?")
    return Order(side, account, order_id, symbol, qty, price)


@wallaroo.decoder(header_length=4, length_fmt=">I")
def market_data_decoder(bs):
    kind, symbol, _, bid, offer = struct.unpack(">B4s21sdd", bs)
    if kind != FIXTYPE_MARKET_DATA:
        raise MarketSpreadError("This is not market data. Are the senders the wrong way around?")
    return MarketData(symbol, bid, offer)


@wallaroo.encoder
def order_result_encoder(data):
    order = data.order
    packed = struct.pack(
        ">BI6s4sdddd",
        order.side,
        order.account,
        order.order_id,
        order.symbol,
        order.qty,
        order.price,
        data.bid,
        data.offer,
    )
    return struct.pack(f">I{len(packed)}s", len(packed), packed)
