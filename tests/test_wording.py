"""Phrases that must not return, in documents and in code: see CONTRIBUTING for how we write."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

CLEAN = (
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "docs",
    "examples",
    "tests",
    "wallaroo/__init__.py",
    "wallaroo/api",
    "wallaroo/checkpoint",
    "wallaroo/codec",
    "wallaroo/connectors",
    "wallaroo/coordinator",
    "wallaroo/describing.py",
    "wallaroo/errors.py",
    "wallaroo/metrics",
    "wallaroo/names.py",
    "wallaroo/operators",
    "wallaroo/routing",
    "wallaroo/statuses.py",
    "wallaroo/suggestions.py",
    "wallaroo/testing",
    "wallaroo/topology",
    "wallaroo/wire",
    "cli",
    "workers/wallaroo_workers/__init__.py",
    "workers/wallaroo_workers/agent.py",
    "workers/wallaroo_workers/application.py",
    "workers/wallaroo_workers/control_link.py",
    "workers/wallaroo_workers/dashboard",
    "workers/wallaroo_workers/dead_letters.py",
    "workers/wallaroo_workers/durable_storage.py",
    "workers/wallaroo_workers/ending.py",
    "workers/wallaroo_workers/external",
    "workers/wallaroo_workers/forks.py",
    "workers/wallaroo_workers/heartbeat.py",
    "workers/wallaroo_workers/initializer",
    "workers/wallaroo_workers/leftovers.py",
    "workers/wallaroo_workers/line_file.py",
    "workers/wallaroo_workers/log_output.py",
    "workers/wallaroo_workers/logs.py",
    "workers/wallaroo_workers/machine_runs.py",
    "workers/wallaroo_workers/measuring.py",
    "workers/wallaroo_workers/network",
    "workers/wallaroo_workers/rate_limited_log.py",
    "workers/wallaroo_workers/security.py",
    "workers/wallaroo_workers/settings.py",
    "workers/wallaroo_workers/sinks",
    "workers/wallaroo_workers/sources",
    "workers/wallaroo_workers/sources_and_sinks.py",
    "workers/wallaroo_workers/storage",
)
"""Files and folders without such phrases. Add yours as soon as it is clean."""

SUFFIXES = {".md", ".py", ".js", ".css", ".html", ".json", ".yml", ".toml"}
SKIPPED = {"vendor", "__pycache__"}

PHRASES = {
    r"(?<!there )(?<!there's )\b(?:is|was) no "
    r"(?!longer\b|(?:more|less) than\b|accident\b)": "is not a",
    r"\bin place of\b": "instead of",
    r"\bmend(?:s|ed|ing)?\b": "fix, repair, recover",
    r"\b(?:the|a|its) begin\b|\bbegin of\b": "start, beginning",
    r"\bstrangers?\b": "unauthenticated peers",
    r"\bwho(?:so)?ever\b": "a client that, anyone who",
    r"\bat one go\b": "at a time, in one step",
    r"\b(?:hang|hangs|hanging|hung) up\b": "close",
    r"\btaken? for lost\b": "counts as lost",
    r"\bsigns? of life\b": "heartbeat",
    r"\bl(?:ie|ies|ay|ying) aside\b": "staged, accepted",
    r"\bthe least important lines\b": "minimum log level",
    r"(?:\bhalf|%) below\b": "median, p50, p99",
    r"\bcheckpoint(?: [\dN]+)? (?:stands|stood)\b": "is committed",
    r"\bother members\b": "resize",
    r"\bwaited for in vain\b|\bwaited for no more\b": "timed out",
    r"\bIt is (?:so\b|not so\b)": "Set the flag, Clear it",
    r"\bof no account\b": "ignored",
    r"\bnobody wants to hear\b": "ignore",
    r"\b(?:come|came|comes) of (?:it|this|that)\b": "result",
    r"\bheirs?\b": "successor",
    r"\bthat there (?:are|is)\b(?= *[.;,])": "existing",
}
"""Each pattern, with what to write instead."""

FOUND = {re.compile(pattern, re.IGNORECASE): instead for pattern, instead in PHRASES.items()}


def clean_files() -> list[Path]:
    """Return the files that the list above covers, without this one, which names the phrases."""
    files = {file for name in CLEAN for file in _files(ROOT / name)}
    return sorted(files - {Path(__file__).resolve()})


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for file in path.rglob("*"):
        inside = file.relative_to(path).parts
        if file.suffix in SUFFIXES and not SKIPPED & {*inside}:
            yield file


def findings(text: str) -> list[tuple[int, str, str]]:
    """Return line, phrase and what to write instead for each phrase in ``text``.

    A phrase may be broken over two lines, with the mark of a comment between them.
    """
    found = []
    characters, offsets = _on_one_line(text)
    for pattern, instead in FOUND.items():
        for match in pattern.finditer(characters):
            line = text.count("\n", 0, offsets[match.start()]) + 1
            found.append((line, match.group().strip(), instead))
    return sorted(found)


def _on_one_line(text: str) -> tuple[str, list[int]]:
    """Return ``text`` with one space for each gap, and where each character was before."""
    parts = [*re.finditer(r"\s+(?:#\s*)?|\S", text)]
    characters = "".join(" " if part.group()[0].isspace() else part.group() for part in parts)
    return characters, [part.start() for part in parts]


@pytest.mark.parametrize("path", clean_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_clean_file_stays_clean(path: Path) -> None:
    assert findings(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", CLEAN)
def test_the_list_names_what_exists(name: str) -> None:
    assert [*_files(ROOT / name)]


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("A float is no key.", "is no"),
        ("a list in\nplace of a tuple", "in place of"),
        ("    # what strangers\n    # send", "strangers"),
        ("checkpoint 12 stands: 26 keys", "checkpoint 12 stands"),
        ("It mends the file.", "mends"),
    ],
)
def test_a_phrase_is_found_over_line_ends_too(text: str, phrase: str) -> None:
    assert [found for _, found, _ in findings(text)] == [phrase]


@pytest.mark.parametrize(
    "text", ["There is no module 'x'.", "The worker is no longer a member.", "recommended"]
)
def test_good_english_is_not_found(text: str) -> None:
    assert findings(text) == []
