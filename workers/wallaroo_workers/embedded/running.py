"""Runs a cluster inside a program of the user's, until it ends: behind ``wallaroo.run``."""

import asyncio
import base64
import contextlib
import dataclasses
from collections.abc import Callable, Iterator

from wallaroo.api.running import RunResult, in_keywords
from wallaroo.coordinator.run_outcome import Outcome
from wallaroo.describing import a_type
from wallaroo.errors import ClusterError, ConfigError, WallarooError
from wallaroo.statuses import ExitStatus
from wallaroo.topology.plan import Application
from wallaroo_workers import forks
from wallaroo_workers.application import load_plan
from wallaroo_workers.embedded.given_back import GivenBack
from wallaroo_workers.embedded.in_process import InProcess
from wallaroo_workers.initializer.cluster import Cluster, ClusterSettings
from wallaroo_workers.initializer.placement.local import LocalPlacement
from wallaroo_workers.logs import log_as_library
from wallaroo_workers.plan_pickles import pickled_plan, refuse_while_importing
from wallaroo_workers.stop_signals import NO_SIGNALS


def run(application: Application, settings: ClusterSettings, *, is_here: bool) -> RunResult:
    """Run an application in this thread; with ``is_here`` the worker is in this process too."""
    if _is_in_event_loop():
        raise ConfigError(
            "wallaroo.run() is called inside a running event loop, which it would block",
            hint="write `async with wallaroo.start(application) as cluster:` there, and "
            "`await cluster.ended()` in its block",
        )
    return EmbeddedRun(application, settings, is_here=is_here).run()


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _check(application: object) -> None:
    if not isinstance(application, Application):
        what = "a function" if callable(application) else a_type(application)
        raise ConfigError(
            f"the application is {what}",
            hint="give what application_setup(args) returns, which is the result of build()",
        )


@contextlib.contextmanager
def about_keywords() -> Iterator[None]:
    """Let errors name keywords of the caller instead of options of the command."""
    try:
        yield
    except WallarooError as error:
        error.reword(in_keywords)
        raise


class _TooManyFailuresError(ClusterError):
    """The run ended in order, and the command would end with a status that says otherwise."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason, hint="look at the dead letters, and correct the code")
        self.exit_code = outcome.status


class EmbeddedRun:
    """One run in this process."""

    def __init__(
        self, application: Application, settings: ClusterSettings, *, is_here: bool
    ) -> None:
        _check(application)
        refuse_while_importing()
        options = dataclasses.replace(settings.options, gives_back=True)
        settings = dataclasses.replace(settings, options=options)
        self._settings = settings
        self.plan = application
        """As this process knows it."""
        self.is_here = is_here
        self._here: InProcess | None = None
        with about_keywords():
            if is_here:
                self._make_here(application)
            else:
                self._make_with_processes(application)

    def _make_here(self, application: Application) -> None:
        given_back = GivenBack(application.sinks, "")
        self._here = InProcess(application, given_back)
        # Nothing can replace this process.
        settings = dataclasses.replace(self._settings, may_restart=False)
        self.given_back = given_back
        self.cluster = Cluster(settings, application, self._here, NO_SIGNALS, given_back)

    def _make_with_processes(self, application: Application) -> None:
        pickled = pickled_plan(application)
        modules = dataclasses.replace(
            self._settings.application,
            plan=base64.b64encode(pickled.data).decode(),
            main=pickled.main,
            files=pickled.files,
        )
        settings = dataclasses.replace(self._settings, application=modules)
        # The same plan as in the workers, with the same names, and errors of imports at once.
        plan = load_plan(modules)
        self.given_back = GivenBack(application.sinks, pickled.main)
        placement = LocalPlacement(passes_stdin=plan.stdin_pipeline is not None)
        self.cluster = Cluster(settings, plan, placement, NO_SIGNALS, self.given_back)

    def run(self, began: Callable[[], object] = lambda: None) -> RunResult:
        """Run to the end; return the result, or raise the error of its end.

        ``began`` is called on the event loop of the run, in the task that can be cancelled.
        """
        log_as_library(level=self._settings.options.log_level)
        with about_keywords():
            with forks.guest():
                try:
                    status = forks.run(self._run(began))
                except WallarooError:
                    self._raise_interrupt()
                    raise
            outcome = self.cluster.failures.outcome()
            if status is not ExitStatus.DONE:
                raise _TooManyFailuresError(outcome)
        return RunResult(
            record_count=outcome.record_count,
            failure_count=outcome.failure_count,
            failures=self.given_back.failures,
        )

    async def _run(self, began: Callable[[], object]) -> ExitStatus:
        began()
        return await self.cluster.run()

    def _raise_interrupt(self) -> None:
        """Raise what has interrupted user code, if that ended the run."""
        if self._here is not None and self._here.interrupt is not None:
            raise self._here.interrupt
