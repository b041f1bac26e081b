"""The effects of a lost disk outside of a simulated cluster."""

from collections.abc import Callable

from wallaroo.checkpoint.journal import replay_position
from wallaroo.checkpoint.manifest import Manifest
from wallaroo.coordinator.events import Announce
from wallaroo.coordinator.manifest_writer import Rules, StartingPoint
from wallaroo.testing.disk import Disk
from wallaroo.testing.senders import SendersHall


class LostDisks:
    """Takes back, in one run of the command, records that were lost with a disk and given up.

    Senders then send them again. If lost records are not given up, the run has a wrong result.
    """

    def __init__(
        self, disk: Disk, hall: SendersHall, rules: Rules, latest: Callable[[], Manifest]
    ) -> None:
        self._disk = disk
        self._hall = hall
        self._may_lose_input = rules.allow_lost_input
        self._latest = latest
        self.has_lost_input = False
        """Whether the run has reported lost input."""

    def begin(self, beginning: StartingPoint) -> None:
        """Take back records that no initializer can know about.

        Journals that no checkpoint names were known only to the run that had opened them.
        """
        needed = beginning.needed_input
        named = {each.journal for each in needed.positions} if needed is not None else set()
        for journal in self._disk.lost_journals:
            if journal not in named:
                self._take_back(journal)

    def announced(self, line: Announce) -> None:
        """Note a line of the run."""
        if line.event == "journals.lost":
            self.has_lost_input = True
            if self._may_lose_input:
                self._take_back(line.values["journal"])

    def _take_back(self, journal: str) -> None:
        position = replay_position(journal, self._latest().journal_positions())
        if position is not None:
            self._disk.take_back(journal, position)
            self._hall.send_again()
