"""The simulated processes of one run's workers, and the control links to them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from wallaroo.coordinator.events import Event, Received, StartWorker, WorkerLost
from wallaroo.coordinator.restart_policy import RestartPolicy
from wallaroo.names import Epoch, WorkerName
from wallaroo.testing.loop import Process
from wallaroo.testing.network import ControlLink
from wallaroo.testing.place import NOTICE_S
from wallaroo.testing.worker import SimulatedWorker, World
from wallaroo.wire.control import ControlFrame, Failed, Join

START_S = 0.3
EXIT_AWAITED_S = 0.2
RESTARTS_MAX = 100
"""A simulation has more crashes in a minute than a real run would go on with."""


@dataclass(slots=True)
class _Link:
    """The control link of one worker process, and that process."""

    process: Process
    incarnation: Epoch
    wire: ControlLink
    worker: SimulatedWorker | None = None
    is_up: bool = True
    has_joined: bool = False


class SimulatedProcesses:
    """At most one process for each worker at a time."""

    def __init__(
        self,
        world: World,
        process: Process,
        happened: Callable[[Event], None],
        on_ended: Callable[[WorkerName, Epoch], None],
        tell: Callable[[str, dict[str, Any]], None],
    ) -> None:
        """``process`` is the initializer's, which ``happened`` tells of what workers do."""
        self._world = world
        self._process = process
        self._happened = happened
        self._on_ended = on_ended
        self._tell = tell
        self._links: dict[WorkerName, _Link] = {}
        self._orders: dict[WorkerName, StartWorker] = {}
        self._restarts: dict[WorkerName, RestartPolicy] = {}
        self.is_over = False
        """Nothing is to be started any more."""

    def start(self, order: StartWorker) -> bool:
        """Have a process run for this order; say whether the worker was not lost too often."""
        self._orders[order.worker] = order
        link = self._links.get(order.worker)
        if link is not None:
            link.process.end("killed")
        delay_s = 0.0
        if order.is_restart:
            policy = self._restarts.setdefault(order.worker, RestartPolicy(RESTARTS_MAX))
            back_off_s = policy.lost(self._process.loop.now_s)
            if back_off_s is None:
                return False
            delay_s = back_off_s
        self._process.call_later(
            delay_s + self._process.loop.random.random() * START_S,
            lambda: self._start(order),
        )
        return True

    def _start(self, order: StartWorker) -> None:
        if self._orders.get(order.worker) is not order or self.is_over:
            return
        world, worker = self._world, order.worker
        before = self._links.get(worker)
        if before is not None:
            before.process.end("killed")
            self._on_ended(worker, before.incarnation)
        process = Process(self._process.loop, f"{worker}-{order.incarnation}", world.chaos)
        link = self._links[worker] = _Link(process, order.incarnation, ControlLink(world.chaos))
        world.chaos.workers[worker] = process
        process.on_end.append(lambda: self._ended(worker, link))

        def begin() -> None:
            link.worker = SimulatedWorker(
                world,
                process,
                worker,
                order.incarnation,
                lambda frame: self._sent(worker, link, frame),
            )

        process.run(begin)

    def end(self, worker: WorkerName, *, is_told: bool) -> None:
        """A worker is not wanted any more."""
        self._orders.pop(worker, None)
        link = self._links.get(worker)
        if link is None:
            return

        def end() -> None:
            link.process.end("not wanted")
            self._on_ended(worker, link.incarnation)

        within_s = NOTICE_S if is_told else 0.0
        self._process.call_later(within_s * self._process.loop.random.random(), end)

    def end_all(self, within_s: float) -> None:
        """Have all processes end that are left."""
        loop = self._process.loop
        for link in self._links.values():
            end = partial(link.process.end, "lost its initializer")
            loop.call_later(loop.random.random() * within_s, end)

    @property
    def are_left(self) -> bool:
        """Whether any process lives."""
        return any(link.process.is_alive for link in self._links.values())

    def workers(self, names: Iterable[WorkerName]) -> list[SimulatedWorker]:
        """Return what runs, or ran, in the last process of each of these workers."""
        links = [self._links[name] for name in names if name in self._links]
        return [link.worker for link in links if link.worker is not None]

    # Control links

    def send(self, worker: WorkerName, frame: ControlFrame) -> None:
        """Send a frame to a worker; nothing happens where its link is gone."""
        link = self._links.get(worker)
        if link is None or not link.is_up or not link.has_joined:
            return
        assert link.worker is not None
        link.wire.send(link.process, frame, link.worker.machine.ordered)

    def _sent(self, worker: WorkerName, link: _Link, frame: ControlFrame) -> None:
        """A worker has sent a frame."""
        process = link.process
        if isinstance(frame, Failed):
            self._world.problems.append(f"{process.name} gave up: {frame.what}")
        if not link.is_up:
            return
        if self._world.chaos.take("lost_control_links", 0.02):
            self._tell("control link breaks", {"worker": process.name})
            link.is_up = False
            process.call_later(NOTICE_S, lambda: process.end("lost its initializer"))
            self._report_lost(worker, link, "its control link broke")
            return

        def received(frame: ControlFrame) -> None:
            if isinstance(frame, Join):
                link.has_joined = True
            self._happened(Received(worker, frame))

        link.wire.send(self._process, frame, received)

    def _ended(self, worker: WorkerName, link: _Link) -> None:
        link.is_up = False
        self._report_lost(worker, link, "the process ended")

    def _report_lost(self, worker: WorkerName, link: _Link, reason: str) -> None:
        """Tell the coordinator, perhaps twice: of the process and of its link."""
        event = WorkerLost(worker, link.incarnation, reason)
        link.wire.in_order(self._process, lambda: self._happened(event))
        self._process.call_later(EXIT_AWAITED_S, lambda: self._happened(event))
