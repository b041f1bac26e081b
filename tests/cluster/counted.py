"""An application whose counts can be told exactly, what is sent to it, and how it is scraped."""

import json
import struct
import urllib.request
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

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
