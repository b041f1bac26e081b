# mypy: ignore-errors
"""Transactions of a generator; an alert for each large one."""

import wallaroo


def application_setup(args):
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    gen_source = wallaroo.GenSourceConfig("transactions", TransactionsGenerator())
    pipeline = (
        wallaroo.source("Alerts (stateless)", gen_source)
        .to(check_transaction)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode_alert))
    )
    return wallaroo.build_application("Alerts (stateless)", pipeline)


class Transaction:
    def __init__(self, number, amount):
        self.number = number
        self.amount = amount


class Alert:
    def __init__(self, kind, amount):
        self.kind = kind
        self.amount = amount

    def __str__(self):
        return self.kind + " alert: " + str(self.amount)


@wallaroo.computation(name="check transaction")
def check_transaction(transaction):
    if transaction.amount > 1000:
        return Alert("deposit", transaction.amount)
    elif transaction.amount < -1000:
        return Alert("withdrawal", transaction.amount)


@wallaroo.encoder
def encode_alert(alert):
    return (str(alert) + "\n").encode()


class TransactionsGenerator:
    def initial_value(self):
        return Transaction(0, 1)

    def apply(self, value):
        if value.number == 200:
            return None
        amount = (value.amount * 2305843009213693951 + 7) % 2500 - 1250
        return Transaction(value.number + 1, amount)
