"""Sends messages to one or several receivers, at full speed or at a pace."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

from wallaroo.errors import ConfigError
from wallaroo_cli.tools.addresses import Address
from wallaroo_cli.tools.blocks import Block
from wallaroo_cli.tools.display import Display
from wallaroo_cli.tools.messages import Messages
from wallaroo_cli.tools.pacing import Pace
from wallaroo_cli.tools.targets import Target, connect
from wallaroo_cli.tools.totals import Totals

FULL_SPEED_BLOCK_BYTES = 256 * 1024
PACED_BLOCK_BYTES = 16 * 1024
"""Smaller, because making a large block takes longer than the time between two batches."""

SLEEP_S_MAX = 0.25
"""No sleep is longer, because a Ctrl-C just before a sleep is seen only after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderConfig:
    """Everything a run of the sender needs to know; all mistakes are reported together."""

    addresses: tuple[Address, ...]
    messages: Messages
    pace: Pace
    connect_timeout_s: float = 10.0
    log_path: str | None = None
    """Where to write each message with the time when it was sent."""

    def __post_init__(self) -> None:
        problems = [*self.messages.problems(), *self.pace.problems()]
        problems += [
            f"--host {address} has no port" for address in self.addresses if not address.port
        ]
        if not self.addresses:
            problems.append("--host names no receiver")
        if problems:
            raise ConfigError("\n".join(problems), hint="wallaroo-sender --help lists all options")


class Feed:
    """Cuts blocks into the requested amounts, and stops after ``count`` messages."""

    def __init__(self, blocks: Iterator[Block], count: int | None) -> None:
        self._blocks = blocks
        self._rest: Block | None = None
        self._taken = 0
        self._count = count
        self.given_count = 0

    def has_more(self) -> bool:
        """Whether :meth:`take` will return something."""
        if self._count is not None and self.given_count >= self._count:
            return False
        if self._rest is None or self._taken == len(self._rest):
            self._rest, self._taken = next(self._blocks, None), 0
        return self._rest is not None

    def take(self, count_max: int | None = None) -> Block:
        """Return at most ``count_max`` messages of the present block."""
        assert self.has_more() and self._rest is not None
        available = len(self._rest) - self._taken
        if self._count is not None:
            available = min(available, self._count - self.given_count)
        count = available if count_max is None else min(available, count_max)
        block = self._rest[self._taken : self._taken + count]
        self._taken += count
        self.given_count += count
        return block


class Sender:
    """One run: connect, send everything, close."""

    def __init__(self, config: SenderConfig, display: Display) -> None:
        self._config = config
        self._display = display
        self._targets: list[Target] = []
        self._log: BinaryIO | None = None
        self._started_s = self._ended_s = 0.0

    def totals(self) -> Totals:
        """Return what the kernel has accepted so far; also correct after a failed run."""
        return Totals(
            sum(target.message_count for target in self._targets),
            sum(target.byte_count for target in self._targets),
            (self._ended_s or time.monotonic()) - self._started_s if self._started_s else 0.0,
        )

    def run(self) -> None:
        """Send all messages; wait while a receiver does not read."""
        config = self._config
        with ExitStack() as stack:
            if config.log_path is not None:
                self._log = stack.enter_context(_open_log(config.log_path))
            for address in config.addresses:
                self._targets.append(connect(address, config.connect_timeout_s))
                stack.callback(self._targets[-1].close)
            self._started_s = time.monotonic()
            try:
                self._send_all()
                for target in self._targets:
                    target.finish()
            finally:
                self._ended_s = time.monotonic()

    def _send_all(self) -> None:
        messages, pace = self._config.messages, self._config.pace
        block_bytes = FULL_SPEED_BLOCK_BYTES if pace.is_full_speed else PACED_BLOCK_BYTES
        feed = Feed(messages.blocks(block_bytes, self._display.line), messages.count)
        if pace.is_full_speed:
            while feed.has_more():
                self._send(feed, feed.take())
        else:
            self._send_paced(feed)
        if messages.count is not None and feed.given_count < messages.count:
            self._display.line(
                f"warning: the files hold only {feed.given_count:,} of {messages.count:,} messages;"
                " --repeat would start them again"
            )

    def _send_paced(self, feed: Feed) -> None:
        schedule = self._config.pace.schedule(time.monotonic())
        for size in self._config.pace.batch_sizes():
            if not feed.has_more():
                break
            while wait_s := schedule.wait_s(time.monotonic()):
                time.sleep(min(wait_s, SLEEP_S_MAX))
            left = size
            while left and feed.has_more():
                block = feed.take(left)
                left -= len(block)
                self._send(feed, block)
            schedule.batch_sent(size - left)

    def _send(self, feed: Feed, block: Block) -> None:
        """Distribute ``block`` over the targets in turn, from where the last block ended."""
        target_count = len(self._targets)
        if target_count == 1:
            self._targets[0].send(block)
        else:
            first = feed.given_count - len(block)
            for index, target in enumerate(self._targets):
                if part := block[(index - first) % target_count :: target_count]:
                    target.send(part)
        if self._log is not None:
            stamp = b"%d, " % time.time_ns()
            self._log.writelines(stamp + payload + b"\n" for payload in block.payloads())
        if self._display.is_due():
            self._display.show(self.totals())


def _open_log(path: str) -> BinaryIO:
    try:
        return open(path, "wb")
    except OSError as error:
        raise ConfigError(f"cannot write --write {path!r}: {error.strerror}") from error
