"""The command's side of a run on Ray: starts it, shows how it goes, passes requests on."""

import contextlib
import math
import signal
import time
from typing import Any

from wallaroo.errors import ClusterError, ConfigError
from wallaroo.statuses import ExitStatus
from wallaroo_cli.homes.home import HomeRun
from wallaroo_cli.homes.ray_home.connection import (
    NoRayError,
    connect,
    import_checked,
    runtime_environment,
)
from wallaroo_cli.homes.ray_home.names import NAMESPACE, applications, manager_name
from wallaroo_cli.homes.ray_home.node_questions import ask_nodes, warn_if_open, warn_of_letters
from wallaroo_cli.homes.ray_home.place import FORMS, RayPlace
from wallaroo_cli.homes.ray_home.preflight import check_capacity, nodes_of
from wallaroo_cli.homes.ray_home.spec import RaySpec
from wallaroo_workers.logs import get_logger

log = get_logger()

LEASE_S = 60.0
"""A run that is not detached stops when its driver was not heard for so long."""
POLL_S = 0.25
ANSWER_S = 5.0


class RayHome:
    """Ray as a `Home`."""

    def __init__(self, place: RayPlace) -> None:
        self._place = place

    # Run

    def run(self, wanted: HomeRun) -> int:
        """Run an application until it ends, or until it is ready if it is detached."""
        self._check_place(wanted)
        options = wanted.options
        environment = runtime_environment(options.runtime_env, wanted.folder)
        cpus = wanted.host_count * options.worker_cpus
        began_s = time.monotonic()
        connect(self._place, runtime_env=environment, cpus=cpus, shows_logs=True)
        import ray

        try:
            spec = self._checked_spec(wanted)
            manager = self._started(spec)
            log.info(
                "run.requested",
                application=spec.application,
                host_count=spec.host_count,
                standby=spec.standby,
                after_s=round(time.monotonic() - began_s, 2),
                next="Ray starts the initializer and the hosts",
            )
            return _Following(manager, spec, detached=options.detach).until_end()
        finally:
            # The last lines of the actors are on their way.
            time.sleep(POLL_S)
            ray.shutdown()

    def _check_place(self, wanted: HomeRun) -> None:
        if self._place.application:
            raise ConfigError(
                f"--on names the application {self._place.application!r}, but wallaroo-run "
                "starts one",
                hint=FORMS,
            )
        if self._place.is_new and wanted.options.detach:
            raise ConfigError(
                "--detach would end the Ray of --on ray:new together with this command",
                hint="leave out --detach, or start a Ray with `ray start --head` and give --on ray",
            )

    def _checked_spec(self, wanted: HomeRun) -> RaySpec:
        """Return what to start. Raises ``WallarooError`` if it cannot work here."""
        import ray

        options, plan = wanted.options, wanted.plan
        nodes = nodes_of(ray.nodes())
        check_capacity(nodes, wanted.host_count, options.worker_cpus, options.spread)
        self._check_name(plan.name)
        if not self._place.is_new:
            warn_if_open()
            warn_of_letters(wanted.agent)
            fit = [node for node in nodes if node.cpus >= options.worker_cpus]
            ask_nodes(fit or nodes, wanted)
        heads = [node.id for node in nodes if node.is_head]
        return RaySpec(
            application=plan.name,
            module=wanted.module,
            folder=wanted.command_folder if self._place.is_new else "",
            paths=[wanted.folder] if self._place.is_new else [],
            host_count=options.host_count,
            standby=wanted.standby,
            worker_cpus=options.worker_cpus,
            spread=options.spread,
            autoscale=options.autoscale,
            lease_s=math.inf if options.detach else LEASE_S,
            head=heads[0] if heads and len(nodes) > 1 else "",
            is_local=self._place.is_new,
            takes_over=bool(wanted.store),
            initializer=wanted.initializer,
            agent=wanted.agent,
            arguments=wanted.arguments,
            log_form="console" if "--log-format=console" in wanted.agent else "json",
        )

    def _check_name(self, application: str) -> None:
        """Raise ``ClusterError`` if this application runs here; remove one that is over."""
        import ray

        try:
            manager = ray.get_actor(manager_name(application), namespace=NAMESPACE)
        except ValueError:
            return
        with contextlib.suppress(ray.exceptions.RayError):
            if ray.get(manager.follow.remote(), timeout=ANSWER_S)["status"] is not None:
                ray.kill(manager, no_restart=True)
                return
        raise ClusterError(
            f"the application {application} runs on this Ray already",
            hint=f"stop it with `wallaroo-cluster stop --on ray:{application}`, or give this one "
            "another name",
        )

    def _started(self, spec: RaySpec) -> Any:
        import ray

        from wallaroo_cli.homes.ray_home.manager import Manager

        strategy: Any = "DEFAULT"
        if spec.head:
            from ray.util.scheduling_strategies import NodeLabelSchedulingStrategy, NotIn

            elsewhere = {"ray.io/node-id": NotIn(spec.head)}
            strategy = NodeLabelSchedulingStrategy(hard={}, soft=elsewhere)
        return (
            ray.remote(Manager)
            .options(
                name=manager_name(spec.application),
                namespace=NAMESPACE,
                lifetime="detached",
                max_restarts=-1,
                max_task_retries=0,
                num_cpus=0,
                scheduling_strategy=strategy,
            )
            .remote(spec)
        )

    # Requests

    def ask(self, method: str, params: dict[str, Any], *, until_ended: bool) -> dict[str, Any]:
        """Pass a request to a run; with ``until_ended`` wait for the end of the run."""
        if self._place.is_new:
            raise ConfigError("--on ray:new starts a Ray; it does not find one", hint=FORMS)
        import_checked()
        import ray

        if not ray.is_initialized():
            connect(self._place)
        try:
            manager = self._manager()
            answer = ray.get(manager.ask.remote(method, params))
            if "error" in answer:
                kind = ConfigError if answer["status"] == ExitStatus.MISTAKE else ClusterError
                raise kind(answer["error"], hint=answer["hint"])
            if until_ended:
                _wait_for_end(manager)
            result: dict[str, Any] = answer["result"]
            return result
        except ray.exceptions.RayError as error:
            raise ClusterError(
                "the run on Ray ended before it answered", hint="ask again in a moment"
            ) from error

    def _manager(self) -> Any:
        import ray

        names = applications(ray.util.list_named_actors())
        wanted = self._place.application
        if wanted and wanted not in names:
            known = f"it runs {', '.join(names)}" if names else "it runs none"
            raise NoRayError(f"this Ray does not run the application {wanted!r}", hint=known)
        if not names:
            raise NoRayError(
                "no application of wallaroo-run runs on this Ray",
                hint="start one with wallaroo-run --on ray, or set RAY_ADDRESS to another Ray",
            )
        if len(names) > 1 and not wanted:
            raise ConfigError(
                f"{len(names)} applications run on this Ray: {', '.join(names)}",
                hint="choose one with --on ray:APPLICATION",
            )
        return ray.get_actor(manager_name(wanted or names[0]), namespace=NAMESPACE)


class _Following:
    """The driver while a run goes on."""

    def __init__(self, manager: Any, spec: RaySpec, *, detached: bool) -> None:
        self._manager = manager
        self._spec = spec
        self._detached = detached
        self._stops = 0

    def until_end(self) -> int:
        """Return the exit status of the run; 0 once a detached one is ready.

        SIGINT and SIGTERM stop the run in order, a second one immediately.
        """
        import ray

        before = {
            number: signal.signal(number, self._asked_to_stop)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        sent = 0
        try:
            while True:
                while sent < self._stops:
                    sent += 1
                    with contextlib.suppress(ray.exceptions.RayError):
                        ray.get(self._manager.stop.remote(), timeout=ANSWER_S)
                state = self._state()
                if state["status"] is not None:
                    with contextlib.suppress(ray.exceptions.RayError):
                        ray.kill(self._manager, no_restart=True)
                    return int(state["status"])
                if state["is_ready"] and self._detached:
                    self._log_detached()
                    return ExitStatus.DONE
                time.sleep(POLL_S)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked_to_stop(self, *_: object) -> None:
        self._stops += 1

    def _state(self) -> dict[str, Any]:
        import ray

        try:
            found: dict[str, Any] = ray.get(self._manager.follow.remote(), timeout=ANSWER_S)
        except ray.exceptions.ActorDiedError as error:
            raise ClusterError(
                f"the run of {self._spec.application} on Ray was ended by others",
                hint="run the command again; with --resilience-dir it continues",
            ) from error
        except ray.exceptions.RayError:
            return {"is_ready": False, "status": None}  # the manager is being restarted
        return found

    def _log_detached(self) -> None:
        name = self._spec.application
        log.info(
            "run.detached",
            application=name,
            hint=f"wallaroo-cluster status --on ray:{name} shows it, "
            f"wallaroo-cluster stop --on ray:{name} ends it",
            next="this command ends",
        )


def _wait_for_end(manager: Any) -> None:
    import ray

    with contextlib.suppress(ray.exceptions.RayError):
        while ray.get(manager.follow.remote(), timeout=ANSWER_S)["status"] is None:
            time.sleep(POLL_S)
