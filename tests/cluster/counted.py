"""An application whose counts can be told exactly, what is sent to it, and how it is scraped."""

import json
import struct
import urllib.request
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

APPLICATION = """
from collections import Counter

import wallaroo


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload):
    return None if payload.startswith(b"#") else payload.decode()


@wallaroo.computation("check")
def check(text):
    if text.startswith("bad"):
        raise ValueError(text)
    return None if text.startswith("skip") else text


@wallaroo.computation_multi("split")
def split(text):
    return text.split()


@wallaroo.partition
def by_word(word):
    return word


@wallaroo.state_computation("count")
def count(word, seen):
    seen[word] += 1
    return (None if word == "silent" else f"{word} {seen[word]}\\n"), True


@wallaroo.encoder
def encode(line):
    return line.encode()


def application_setup(args):
    first, second = wallaroo.tcp_parse_input_addrs(args)
    out, = wallaroo.tcp_parse_output_addrs(args)
    words = wallaroo.ApplicationBuilder("words")
    words.new_pipeline("texts", wallaroo.TCPSourceConfig(*first, decode)).to(check).to(split)
    words.to_state_partition(count, Counter, "counts", by_word)
    words.to_sink(wallaroo.TCPSinkConfig(*out, encode))
    words.new_pipeline("words", wallaroo.TCPSourceConfig(*second, decode)).to_parallel(check)
    words.to_state_partition(count, Counter, "counts", by_word)
    return words.to_sink(wallaroo.TCPSinkConfig(*out, encode)).build()
"""

TEXTS = [b"a b c", b"#", b"bad", b"skip", b"", b"d silent"]
WORDS = [b"a", b"bad", b"skip", b"silent"]


def framed(payloads: list[bytes]) -> bytes:
    """Return payloads as the application's sources take them."""
    return b"".join(struct.pack(">I", len(each)) + each for each in payloads)


def expected(texts: int, words: int, sink: str) -> dict[str, list[int]]:
    """Records in, out, filtered, failed by place, after so many times ``TEXTS`` and ``WORDS``."""
    node = f"tcp sink to {sink}"
    by_text = {
        "source": [6, 5, 1, 0],
        "check": [5, 3, 1, 1],
        "split": [3, 5, 1, 0],
        "count": [5, 4, 1, 0],
        node: [4, 4, 0, 0],
    }
    by_word = {
        "source": [4, 4, 0, 0],
        "check": [4, 2, 1, 1],
        "count": [2, 1, 1, 0],
        node: [1, 1, 0, 0],
    }
    return {
        **{f"texts/{step}": [texts * each for each in four] for step, four in by_text.items()},
        **{f"words/{step}": [words * each for each in four] for step, four in by_word.items()},
    }


def samples_of(text: str) -> dict[str, list[Any]]:
    """Samples by name, of a text for Prometheus."""
    samples: dict[str, list[Any]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append(sample)
    return samples


def counts_by_worker(samples: dict[str, list[Any]]) -> dict[str, dict[str, list[int]]]:
    """Records in, out, filtered, failed by worker and place, as a scrape says them."""
    found: dict[str, dict[str, list[int]]] = {}
    for index, kind in enumerate(("in", "out", "filtered", "failed")):
        for sample in samples[f"wallaroo_records_{kind}_total"]:
            assert set(sample.labels) == {"pipeline", "step", "worker"}
            place = f"{sample.labels['pipeline']}/{sample.labels['step']}"
            four = found.setdefault(sample.labels["worker"], {}).setdefault(place, [0] * 4)
            four[index] += int(sample.value)
    return found


def summed(by_worker: dict[str, dict[str, list[int]]]) -> dict[str, list[int]]:
    """The same, by place."""
    sums: dict[str, list[int]] = {}
    for counts in by_worker.values():
        for place, four in counts.items():
            before = sums.setdefault(place, [0] * 4)
            sums[place] = [a + b for a, b in zip(before, four, strict=True)]
    return sums


# The page of a real cluster


def get(url: str) -> Any:
    """The JSON at ``url``."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


def scrape(url: str) -> dict[str, list[Any]]:
    """What ``/metrics`` says now."""
    with urllib.request.urlopen(f"{url}metrics", timeout=20) as answer:
        return samples_of(answer.read().decode())


def act(url: str, action: str, secret: str, **params: Any) -> Any:
    """Press a button; return the facts."""
    request = urllib.request.Request(
        f"{url}api/actions/{action}",
        data=json.dumps(params).encode(),
        headers={"Authorization": f"Bearer {secret}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def run_file(folder: Path) -> dict[str, Any]:
    """What the run in this folder tells commands."""
    (path,) = (folder / ".wallaroo").glob("cluster-*.json")
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts
