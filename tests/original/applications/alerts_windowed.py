# mypy: ignore-errors
"""Alerts on the amounts of the last nine seconds, three seconds after three seconds."""

import wallaroo


def application_setup(args):
    _name, host, port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    transactions = wallaroo.source(
        "transactions", wallaroo.TCPSourceConfig("transactions", host, port, decode)
    )
    alerts = (
        transactions.key_by(extract_user)
        .to(
            wallaroo.range_windows(wallaroo.seconds(9))
            .with_slide(wallaroo.seconds(3))
            .over(TotalAggregation)
        )
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode))
    )
    return wallaroo.build_application("Alerts (windowed)", alerts)


class Total:
    def __init__(self):
        self.value = 0.0


class TotalAggregation(wallaroo.Aggregation):
    def initial_accumulator(self):
        return Total()

    def update(self, transaction, total):
        total.value += transaction[1]

    def combine(self, one, other):
        both = Total()
        both.value = one.value + other.value
        return both

    def output(self, user, total):
        if abs(total.value) > 2000:
            return f"{user}: {int(total.value)}"
        return None


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload):
    user, amount = payload.decode().split()
    return user, float(amount)


@wallaroo.key_extractor
def extract_user(transaction):
    return transaction[0]


@wallaroo.encoder
def encode(alert):
    return (alert + "\n").encode()
