# mypy: ignore-errors
"""A chain of steps as the command line asks for it; each step adds its name to the record.

The steps are objects with ``__call__``, made while the application is set up.
"""

import argparse
import json

import wallaroo

MODIFIERS = ("filter", "multi")
COMPUTATIONS = ("stateless", "state")


def application_setup(args):
    parser = argparse.ArgumentParser()
    for name in ("key-by", *COMPUTATIONS, *MODIFIERS):
        parser.add_argument(
            "--" + name, dest="topology", action="append_const", const=name.replace("-", "_")
        )
    parsed, _ = parser.parse_known_args(args)
    in_name, in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    pipeline = wallaroo.source(
        "topology_tester", wallaroo.TCPSourceConfig(in_name, in_host, in_port, decoder)
    )
    for key_by, computation in steps(parsed.topology):
        if key_by:
            pipeline = pipeline.key_by(wallaroo.key_extractor(extract_key))
        pipeline = pipeline.to(computation)
    pipeline = pipeline.to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encoder))
    return wallaroo.build_application("topology test", pipeline)


class Message:
    def __init__(self, value, key, tags=()):
        self.value = value
        self.key = key
        self.tags = list(tags)


class Seen:
    def __init__(self):
        self.values = []


class Tag:
    """A stateless step, with what happens to its results."""

    def __init__(self, name, modifier):
        self.__name__ = name
        self.name = name
        self.modifier = modifier

    def __call__(self, data):
        tagged = Message(data.value, data.key, [*data.tags, self.name])
        if self.modifier == "multi":
            return [Message(data.value, data.key + end, tagged.tags) for end in (".0", ".1")]
        if self.modifier == "filter" and data.key.endswith("1"):
            return None
        return tagged


class TagState(Tag):
    """The same with a state."""

    def __call__(self, data, state):
        state.values.append(data.value)
        return Tag.__call__(self, data)


def steps(topology):
    """Yield for each computation whether it is behind a key_by, and the wrapped object."""
    found = []
    key_by = False
    for word in topology:
        if word == "key_by":
            key_by = True
        elif word in COMPUTATIONS:
            found.append([key_by, word, None])
            key_by = False
        else:
            found[-1][2] = word
    for number, (key_by, kind, modifier) in enumerate(found):
        name = kind + str(number) + "_" + str(modifier)
        if kind == "stateless":
            tag = Tag(name, modifier)
            wrap = wallaroo.computation_multi if modifier == "multi" else wallaroo.computation
            yield key_by, wrap(name)(tag)
        else:
            tag = TagState(name, modifier)
            wrap = (
                wallaroo.state_computation_multi
                if modifier == "multi"
                else wallaroo.state_computation
            )
            yield key_by, wrap(name, Seen)(tag)


def extract_key(message):
    return message.key


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decoder(bs):
    return Message(int.from_bytes(bs[:8], "big"), bs[8:].decode())


@wallaroo.encoder
def encoder(message):
    return json.dumps([message.value, message.key, message.tags]) + "\n"
