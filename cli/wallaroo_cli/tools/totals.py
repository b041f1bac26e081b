"""What a tool has sent or received so far, as sentences and as JSON."""

import json
from dataclasses import dataclass

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of messages and bytes, and the time that they took."""

    message_count: int
    byte_count: int
    seconds: float

    @property
    def messages_per_second(self) -> float:
        """The mean rate; 0 if no time has passed."""
        return self.message_count / self.seconds if self.seconds else 0.0

    def describe(self) -> str:
        """Return the totals for people."""
        return (
            f"{self.message_count:,} messages, {describe_bytes(self.byte_count)} "
            f"in {self.seconds:.1f} s ({self.messages_per_second:,.0f} messages/s)"
        )

    def json(self, **more: int) -> str:
        """Return the totals for programs; ``more`` are further fields."""
        fields = {
            "messages": self.message_count,
            "bytes": self.byte_count,
            "seconds": round(self.seconds, 6),
            "messages_per_second": round(self.messages_per_second, 1),
        }
        return json.dumps(fields | more)


def describe_bytes(count: float) -> str:
    """Return ``count`` bytes in a suitable unit."""
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            break
        count /= 1000
    return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
