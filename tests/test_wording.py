"""Phrases that must not return, in documents and in code: see CONTRIBUTING for how we write."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FOLDERS = (".ci", ".github", "cli", "docs", "examples", "tests", "wallaroo", "workers")
"""These, and the files beside them at the top, must not have such phrases."""

SUFFIXES = {".md", ".py", ".js", ".css", ".html", ".json", ".yml", ".toml"}
NAMES = {"Makefile", "run"}
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


def all_files() -> list[Path]:
    """Return all files with prose, without this one, which names the phrases."""
    files = {file for name in FOLDERS for file in (ROOT / name).rglob("*") if _has_prose(file)}
    files |= {file for file in ROOT.iterdir() if _has_prose(file)}
    return sorted(files - {Path(__file__).resolve()})


def _has_prose(file: Path) -> bool:
    has_known_name = file.suffix in SUFFIXES or file.name in NAMES
    return has_known_name and not SKIPPED & {*file.relative_to(ROOT).parts} and file.is_file()


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


@pytest.mark.parametrize("path", all_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_in_plain_english(path: Path) -> None:
    assert findings(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", FOLDERS)
def test_each_folder_has_prose(name: str) -> None:
    assert any((ROOT / name) in file.parents for file in all_files())


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
