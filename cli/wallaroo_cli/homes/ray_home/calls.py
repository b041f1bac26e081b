"""Everything that our actors ask of Ray, so that tests can put something simpler there."""

import math
import os
import time
import warnings
from typing import Any

from wallaroo.homes.fleet import HostView
from wallaroo_cli.homes.ray_home.names import NAMESPACE, host_name, hosts_of, manager_name
from wallaroo_cli.homes.ray_home.spec import RaySpec

MS = 1000.0
CPU = "CPU"


class RayCalls:
    """Ray, for the actors of one run."""

    def __init__(self, spec: RaySpec) -> None:
        self._spec = spec
        self._application = spec.application

    def address(self) -> str:
        """Return the address of this node."""
        import ray

        return str(ray.util.get_node_ip_address()) if not self._spec.is_local else "127.0.0.1"

    def node(self) -> str:
        """Return the id of this node."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def is_restarted(self) -> bool:
        """Return whether Ray has started this actor again."""
        import ray

        with warnings.catch_warnings():
            # Ray's own property uses one that it has deprecated.
            warnings.simplefilter("ignore")
            return bool(ray.get_runtime_context().was_current_actor_reconstructed)

    def surroundings(self) -> tuple[list[str], dict[str, float]] | None:
        """Return ``nodes`` and ``draining``; ``None`` if Ray does not know, as without its head."""
        import ray

        try:
            return self.nodes(), self.draining()
        except (ray.exceptions.RayError, RuntimeError, ValueError, OSError):
            return None

    def nodes(self) -> list[str]:
        """Return the nodes that have enough CPUs for a host."""
        import ray

        return [
            node["NodeID"]
            for node in ray.nodes()
            if node["Alive"] and node["Resources"].get(CPU, 0.0) >= self._spec.worker_cpus
        ]

    def draining(self) -> dict[str, float]:
        """Return the nodes that will end, and when, as seconds of the monotonic clock.

        Ray has no public name for this; it is what Ray Serve and Ray Train use. A release without
        it has no drains for us.
        """
        try:
            from ray._private.state import state

            found = state.get_draining_nodes()
        except (ImportError, AttributeError):
            return {}
        offset_s = time.monotonic() - time.time()
        return {node: ms / MS + offset_s if ms else math.inf for node, ms in found.items()}

    # Actors

    def hosts(self) -> list[str]:
        """Return the hosts of this run that Ray has."""
        import ray

        return hosts_of(self._application, ray.util.list_named_actors())

    def start_host(self, name: str, node: str) -> None:
        """Start a host, on this node alone unless it is empty."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from wallaroo_cli.homes.ray_home.host import Host

        strategy: Any = "SPREAD" if self._spec.spread == "spread" else "DEFAULT"
        if node:
            strategy = NodeAffinitySchedulingStrategy(node, soft=False)
        ray.remote(Host).options(
            name=host_name(self._application, name),
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_task_retries=0,
            num_cpus=self._spec.worker_cpus,
            scheduling_strategy=strategy,
        ).remote(name, self._spec)

    def _host(self, name: str) -> Any:
        """Return a host. Raises ``ValueError`` if there is none."""
        import ray

        return ray.get_actor(host_name(self._application, name), namespace=NAMESPACE)

    async def look_at(self, name: str) -> HostView:
        """Return what a host is seen to do; this may wait until Ray has a node for it."""
        import ray

        try:
            host = self._host(name)
            return HostView(**await host.look.remote())
        except (ValueError, ray.exceptions.ActorDiedError):
            return HostView(is_dead=True)
        except ray.exceptions.RayError:
            return HostView()  # its node is lost, and Ray looks for another

    async def withdraw(self, name: str) -> None:
        """Let a host end its agent in order."""
        import ray

        try:
            host = self._host(name)
            await host.withdraw.remote()
        except (ValueError, ray.exceptions.RayError):
            pass  # it is lost, which the next look at it shows

    def kill(self, name: str) -> None:
        """Remove a host."""
        import ray

        try:
            host = self._host(name)
        except ValueError:
            return
        ray.kill(host, no_restart=True)

    async def where(self) -> dict[str, Any] | None:
        """Return what the manager says about the initializer; ``None`` if it does not answer.

        Raises ``LookupError`` if there is no manager.
        """
        import ray

        try:
            manager = ray.get_actor(manager_name(self._application), namespace=NAMESPACE)
        except ValueError as error:
            raise LookupError(self._application) from error
        try:
            found: dict[str, Any] | None = await manager.where.remote()
        except ray.exceptions.RayError:
            return None  # it is being restarted
        return found

    def fail(self) -> None:
        """End this process; Ray starts the actor again."""
        os._exit(1)

    def leave(self) -> None:
        """End this actor for good."""
        import ray

        ray.actor.exit_actor()
