# mypy: ignore-errors
"""Lists the numbers of each window, so that a test can see whether one is missing or twice."""

import wallaroo


def application_setup(args):
    _name, host, port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    numbers = wallaroo.source(
        "detector", wallaroo.TCPSourceConfig("detector", host, port, decode)
    ).key_by(extract_key)
    return wallaroo.build_application(
        "Window detector",
        numbers.to(windows_of(args)).to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode)),
    )


def windows_of(args):
    kind = args[args.index("--window-type") + 1]
    if kind == "counting":
        return wallaroo.count_windows(4).over(Collect)
    windows = wallaroo.range_windows(wallaroo.milliseconds(50))
    if kind == "sliding":
        windows = windows.with_slide(wallaroo.milliseconds(25))
    windows = windows.with_delay(wallaroo.milliseconds(10))
    return windows.with_late_data_policy("fire-per-message").over(Collect)


class Collect(wallaroo.Aggregation):
    def initial_accumulator(self):
        return []

    def update(self, message, numbers):
        numbers.append(message[1])

    def combine(self, one, other):
        return one + other

    def output(self, key, numbers):
        return (key, numbers)


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload):
    key, number = payload.decode().split()
    return key, int(number)


@wallaroo.key_extractor
def extract_key(message):
    return message[0]


@wallaroo.encoder
def encode(result):
    key, numbers = result
    return f"{key}:{','.join(map(str, numbers))}\n"
