# mypy: ignore-errors
"""Transactions of a generator; an alert if the total of a user is large."""

import wallaroo


def application_setup(args):
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    transactions = wallaroo.source(
        "Alerts (stateful)", wallaroo.GenSourceConfig(TransactionsGenerator())
    )
    pipeline = (
        transactions.key_by(extract_user)
        .to(check_transaction_total)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode_alert))
    )
    return wallaroo.build_application("Alerts (stateful)", pipeline)


USERS = ["Fido", "Rex", "Dr. Whiskers", "Feathers", "Mountaineer"]


class Transaction:
    def __init__(self, number, amount):
        self.number = number
        self.user = USERS[number % len(USERS)]
        self.amount = amount


class TransactionTotal:
    total = 0


@wallaroo.key_extractor
def extract_user(transaction):
    return transaction.user


@wallaroo.state_computation(name="check transaction total", state=TransactionTotal)
def check_transaction_total(transaction, state):
    state.total = state.total + transaction.amount
    if state.total > 2000:
        return "Deposit alert for " + transaction.user + ": " + str(state.total)
    elif state.total < -2000:
        return "Withdrawal alert for " + transaction.user + ": " + str(state.total)


@wallaroo.encoder
def encode_alert(alert):
    return (alert + "\n").encode()


class TransactionsGenerator:
    def initial_value(self):
        return Transaction(0, 1)

    def apply(self, value):
        if value.number == 300:
            return None
        amount = (value.amount * 2305843009213693951 + 7) % 2500 - 1250
        return Transaction(value.number + 1, amount)
