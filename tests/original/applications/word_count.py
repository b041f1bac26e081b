# mypy: ignore-errors
"""Words of lines and how often they came: a multi computation and a state for each word."""

import string

import wallaroo


def application_setup(args):
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    lines = wallaroo.source(
        "Split and Count", wallaroo.TCPSourceConfig("lines", in_host, in_port, decode_line)
    )
    pipeline = (
        lines.to(split)
        .key_by(extract_word)
        .to(count_word)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode_count))
    )
    return wallaroo.build_application("Word Count", pipeline)


class WordTotal:
    def __init__(self):
        self.count = 0


class WordCount:
    def __init__(self, word, count):
        self.word = word
        self.count = count


@wallaroo.computation_multi(name="split into words")
def split(data):
    words = []
    for word in data.lower().split():
        clean = word.strip(string.punctuation)
        if clean:
            words.append(clean)
    return words


@wallaroo.key_extractor
def extract_word(data):
    return data


@wallaroo.state_computation(name="count word", state=WordTotal)
def count_word(word, state):
    state.count += 1
    return WordCount(word, state.count)


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_line(bs):
    return bs.decode("utf-8")


@wallaroo.encoder
def encode_count(data):
    return (data.word + " => " + str(data.count) + "\n").encode("utf-8")
