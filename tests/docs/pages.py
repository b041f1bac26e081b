"""The pages of the guide, taken apart: code blocks, what outputs they show, links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs"

BLOCK = re.compile(
    r"^(?:<!-- (?P<label>[^\n]+) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
INSTALL_MARK = re.compile(r"# pip install (?P<names>.+)\n")
FILE_MARK = re.compile(r"# file: (?P<name>\w+)\.py\n")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page."""

    page: str
    line: int
    """Line of the page at which its text begins."""
    label: str
    """What the comment before it says: ``output: plan``, ``file: requests.txt``."""
    language: str
    text: str

    @property
    def module(self) -> str | None:
        """The name of the module that the block is, if it begins with ``# file: name.py``."""
        mark = FILE_MARK.match(self.text)
        return mark["name"] if mark else None

    @property
    def packages(self) -> list[str]:
        """What has to be installed before it can run, if it begins with ``# pip install name``."""
        mark = INSTALL_MARK.match(self.text)
        return mark["names"].split() if mark else []

    @property
    def module_text(self) -> str:
        """The module without its mark, which a reader does not copy."""
        return FILE_MARK.sub("", self.text, count=1)


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown file."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return self.path.name

    def blocks(self, language: str | None = None) -> list[Block]:
        """Its blocks in order; of one language, if one is given."""
        return [
            Block(
                self.name,
                self.text.count("\n", 0, match.start("text")) + 1,
                match["label"] or "",
                match["language"],
                match["text"],
            )
            for match in BLOCK.finditer(self.text)
            if language in (None, match["language"])
        ]

    def labelled(self, label: str) -> str:
        """The text of the block with this label."""
        (block,) = (block for block in self.blocks() if block.label == label)
        return block.text

    def module_text(self, module: str) -> str:
        """The text of a module that the page shows."""
        (block,) = (block for block in self.blocks("python") if block.module == module)
        return block.module_text

    def commands(self) -> Iterator[str]:
        """Each command line of ours, with continued lines joined."""
        for block in self.blocks():
            if block.language in ("sh", "console"):
                lines = block.text.replace("\\\n", " ").splitlines()
                yield from (line for line in lines if line.startswith("wallaroo-"))

    def links(self) -> list[str]:
        """The targets of its links into this repository."""
        prose = BLOCK.sub("", self.text)
        targets = [match["target"] for match in LINK.finditer(prose)]
        return [target for target in targets if "://" not in target]

    def anchors(self) -> set[str]:
        """What a link can have behind ``#``: headings, written as they are in addresses."""
        headings = [match["text"] for match in HEADING.finditer(BLOCK.sub("", self.text))]
        return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}

    def rows(self) -> list[list[str]]:
        """The cells of all its table rows; ``\\|`` is a bar inside a cell."""
        lines = [line for line in self.text.splitlines() if line.startswith("|")]
        return [
            [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in lines
        ]


@cache
def page(name: str) -> Page:
    """A page of the guide."""
    return _read(GUIDE / name)


def pages() -> list[Page]:
    """All pages of the guide, and the README of the project."""
    return [*map(_read, sorted(GUIDE.glob("*.md"))), _read(ROOT / "README.md")]


def decisions() -> list[Page]:
    """The pages of `docs/decisions`, but for their index."""
    folder = GUIDE / "decisions"
    return [_read(path) for path in sorted(folder.glob("*.md")) if path.name != "README.md"]


def decisions_index() -> Page:
    """The index of `docs/decisions`."""
    return _read(GUIDE / "decisions" / "README.md")


def _read(path: Path) -> Page:
    return Page(path, path.read_text(encoding="utf-8"))
