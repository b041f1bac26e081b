"""The simulated processes of one run's workers, and the control links to them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from wallaroo.coordinator.events import StartWorker
from wallaroo.coordinator.run_driver import RunDriver
from wallaroo.errors import ClusterError
from wallaroo.names import WorkerName
from wallaroo.routing.keys import Key
from wallaroo.testing.agents import HostPorts, SimulatedAgents
from wallaroo.testing.loop import Process
from wallaroo.testing.network import ControlLink
from wallaroo.testing.place import NOTICE_S
from wallaroo.testing.waiting import Flag
from wallaroo.testing.worker import SimulatedWorker, World
from wallaroo.wire.control import ControlFrame, Failed, Join

START_S = 0.3
ANSWER_S = 5.0


@dataclass(slots=True)
class _Link:
    """The control link of one worker process, and that process."""

    process: Process
    order: StartWorker
    """What it was launched for."""
    wire: ControlLink
    worker: SimulatedWorker | None = None
    is_up: bool = True
    has_joined: bool = False
    is_cut: bool = False
    """Whether its host is lost, so that nothing of it is noticed any more."""
    is_leaving: bool = False
    """Whether its host is released once it has ended."""


class SimulatedProcesses:
    """The processes that the driver of a run launches, at most one for each worker at a time."""

    def __init__(
        self, world: World, process: Process, driver: Callable[[], RunDriver | None]
    ) -> None:
        """``process`` is the initializer's, whose ``driver`` gets to know what happens."""
        self._world = world
        self._process = process
        self._driver = driver
        self._links: dict[WorkerName, _Link] = {}
        self._is_over = False
        """Whether nothing is to be started any more."""
        self._agents: SimulatedAgents | None = None
        if world.chaos.has_agents:
            ports = HostPorts(
                run=self._launch,
                cut=self._cut,
                lost=self._host_lost,
                runs=self._runs,
                newest_journals=world.disk.newest_journals,
            )
            self._agents = SimulatedAgents(process, world.chaos, ports)

    def launch(self, order: StartWorker) -> None:
        """Start a process, which takes a while."""
        if self._agents is not None:
            self._agents.launch(order)
            return
        delay_s = self._process.loop.random.random() * START_S
        self._process.call_later(delay_s, lambda: self._launch(order))

    def _launch(self, order: StartWorker) -> None:
        if self._is_over:
            return
        world, worker, before = self._world, order.worker, self._links.get(order.worker)
        assert before is None or not before.process.is_alive, f"{worker} has two processes"
        process = Process(self._process.loop, f"{worker}-{order.incarnation}", world.chaos)
        link = self._links[worker] = _Link(process, order, ControlLink(world.chaos))
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
        self._report(lambda driver: driver.process_started(order, 1))

    def kill(self, worker: WorkerName) -> None:
        """End the process of a worker, if there is one."""
        if worker in self._links and not self._links[worker].is_cut:
            self._links[worker].process.end("killed")

    def left(self, worker: WorkerName) -> None:
        """Release the host of a worker that has left, or did not come to join."""
        if self._agents is None:
            return
        link = self._links.get(worker)
        if link is not None and link.process.is_alive and not link.is_cut:
            link.is_leaving = True
        else:
            self._agents.left(worker)

    # Lost hosts

    def _runs(self, worker: WorkerName) -> bool:
        return worker in self._links and self._links[worker].process.is_alive

    def _cut(self, order: StartWorker, within_s: float) -> None:
        """Let nothing of a process reach the initializer any more, and end it soon."""
        link = self._links.get(order.worker)
        if link is not None and link.order is order:
            link.is_up, link.is_cut = False, True
            end = partial(link.process.end, "ended by its agent")
            self._process.loop.call_later(within_s, end)

    def _host_lost(self, order: StartWorker) -> None:
        """Report the end of a process whose host was lost, though it may still run."""
        worker, incarnation, reason = order.worker, order.incarnation, "its host was lost"
        self._report(lambda driver: driver.process_started(order, 0))
        self._report(lambda driver: driver.worker_lost(worker, incarnation, reason))
        self._report(lambda driver: driver.process_ended(order))

    def _report(self, report: Callable[[RunDriver], None]) -> None:
        driver = self._driver()
        if driver is not None:
            report(driver)

    def end_all(self, within_s: float) -> None:
        """End all processes soon, and start no others."""
        self._is_over = True
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

    async def delete(self, worker: WorkerName, state: str, key: Key) -> bool:
        """Return whether a worker had this key, which it deletes."""
        link, arrived = self._links[worker], Flag()
        answers: list[bool | ClusterError] = []

        def ask() -> None:
            assert link.worker is not None
            answer: bool | ClusterError
            try:
                answer = link.worker.machine.delete_key(state, key)
            except ClusterError as error:
                answer = error
            link.wire.in_order(self._process, lambda: replied(answer))

        def replied(answer: bool | ClusterError) -> None:
            if link.is_up:
                answers.append(answer)
                arrived.set()

        if link.is_up:
            link.wire.in_order(link.process, ask)
        self._process.call_later(ANSWER_S, arrived.set)
        await arrived.wait()
        answer = answers[0] if answers else ClusterError(f"worker {worker} did not answer")
        if isinstance(answer, ClusterError):
            raise answer
        return answer

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
            self._report_link(worker, link, "its control link broke")
            return

        def received(frame: ControlFrame) -> None:
            if isinstance(frame, Join):
                link.has_joined = True
            self._report(lambda driver: driver.received(worker, frame))

        link.wire.send(self._process, frame, received)

    def _ended(self, worker: WorkerName, link: _Link) -> None:
        """A process has ended; its link breaks, and its exit is noticed, in any order."""
        order = link.order
        if link.is_cut:
            return
        if link.is_up:
            link.is_up = False
            self._report_link(worker, link, "its control link broke")

        def noticed() -> None:
            incarnation, reason = order.incarnation, "the process ended"
            if link.is_leaving and self._agents is not None:
                self._agents.left(worker)
            self._report(lambda driver: driver.worker_lost(worker, incarnation, reason))
            self._report(lambda driver: driver.process_ended(order))

        self._process.call_later(self._process.loop.random.random() * NOTICE_S, noticed)

    def _report_link(self, worker: WorkerName, link: _Link, reason: str) -> None:
        """The initializer notices a broken link behind all frames that came over it."""
        incarnation = link.order.incarnation
        link.wire.in_order(
            self._process,
            lambda: self._report(lambda driver: driver.link_lost(worker, incarnation, reason)),
        )

    def _tell(self, event: str, values: dict[str, Any]) -> None:
        self._process.loop.tell("initializer", f"{event} {values}")
