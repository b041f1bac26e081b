# mypy: ignore-errors
"""Several aggregations one after the other, with keys between them."""

import wallaroo


def application_setup(args):
    _name, host, port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    sums = (
        wallaroo.source("words", wallaroo.TCPSourceConfig("words", host, port, decode))
        .key_by(extract_word)
        .to(wallaroo.range_windows(wallaroo.seconds(1)).over(Count))
        .key_by(extract_letter)
        .to(wallaroo.range_windows(wallaroo.seconds(1)).over(Sum))
        .collect()
        .to(wallaroo.count_windows(2).over(Sum()))
    )
    return wallaroo.build_application(
        "Multi aggregation",
        sums.to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode)),
    )


class Sum(wallaroo.Aggregation):
    def initial_accumulator(self):
        return [0]

    def update(self, pair, total):
        total[0] += pair[1]

    def combine(self, one, other):
        return [one[0] + other[0]]

    def output(self, key, total):
        return key, total[0]


class Count(Sum):
    def update(self, word, total):
        total[0] += 1


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload):
    return payload.decode()


@wallaroo.key_extractor
def extract_word(word):
    return word


@wallaroo.key_extractor
def extract_letter(pair):
    return pair[0][0]


@wallaroo.encoder
def encode(pair):
    return f"{pair[0]} {pair[1]}\n"
