"""A module that stands for `ray`: its actors are objects on the event loop of the test."""

import asyncio
import sys
import types
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class RayError(Exception):
    pass


class ActorDiedError(RayError):
    pass


class GetTimeoutError(RayError, TimeoutError):
    pass


class Method:
    def __init__(self, actor: "Actor", name: str) -> None:
        self._actor, self._name = actor, name

    def remote(self, *arguments: Any) -> "asyncio.Task[Any]":
        return asyncio.get_running_loop().create_task(self._call(arguments))

    async def _call(self, arguments: tuple[Any, ...]) -> Any:
        self._actor.calls[self._name] += 1
        if self._actor.is_dead:
            raise ActorDiedError(self._actor.name)
        if self._actor.is_restarting:
            raise RayError(self._actor.name)
        return await getattr(self._actor.instance, self._name)(*arguments)


class Actor:
    """An actor, and its handle."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.name, self.options = name, options
        self.instance: Any = None
        self.calls: Counter[str] = Counter()
        self.is_dead = False
        self.is_restarting = False

    def __getattr__(self, name: str) -> Method:
        return Method(self, name)


class FakeRay:
    """What a test knows of Ray, and can do to it."""

    def __init__(self) -> None:
        self.actors: dict[str, Actor] = {}
        self.all: list[Actor] = []
        self.killed: list[str] = []
        self.left: list[str] = []
        self.nodes = [self.node("n1", is_head=True), self.node("n2"), self.node("n3")]
        self.draining: dict[str, int] = {}
        self.is_restarted = False
        self.inits: list[dict[str, Any]] = []
        self.init_error: Exception | None = None

    @staticmethod
    def node(name: str, *, cpus: float = 4.0, is_head: bool = False) -> dict[str, Any]:
        head = {"node:__internal_head__": 1.0} if is_head else {}
        return {
            "NodeID": name,
            "NodeManagerAddress": f"10.0.0.{name[1:]}",
            "Alive": True,
            "Resources": {"CPU": cpus, **head},
        }

    def get_actor(self, name: str, namespace: str) -> Actor:
        assert namespace == "wallaroo"
        if name not in self.actors:
            raise ValueError(f"no actor {name}")
        return self.actors[name]

    def kill(self, actor: Actor, *, no_restart: bool) -> None:
        assert no_restart
        actor.is_dead = True
        self.killed.append(actor.name)
        self.actors.pop(actor.name, None)

    def remote(self, kind: type) -> Any:
        ray = self

        class Remote:
            def __init__(self, options: dict[str, Any]) -> None:
                self._options = options

            def options(self, **options: Any) -> "Remote":
                return Remote(options)

            def remote(self, *arguments: Any) -> Actor:
                name = self._options["name"]
                if name in ray.actors and self._options.get("get_if_exists"):
                    return ray.actors[name]
                actor = Actor(name, self._options)
                ray.actors[name] = actor
                ray.all.append(actor)
                actor.instance = kind(*arguments)
                return actor

        return Remote({})

    def init(self, **options: Any) -> None:
        self.inits.append(options)
        if self.init_error is not None:
            raise self.init_error

    def leave(self) -> None:
        self.left.append("left")


def _strategy(*arguments: Any, **options: Any) -> tuple[Any, Any]:
    return arguments, options


def _modules(fake: FakeRay) -> dict[str, dict[str, Any]]:
    """Return the names in each module of Ray that ours import."""

    def context() -> Any:
        return types.SimpleNamespace(
            get_node_id=lambda: "n1", was_current_actor_reconstructed=fake.is_restarted
        )

    drains = types.SimpleNamespace(get_draining_nodes=lambda: fake.draining)
    return {
        "ray": {
            "init": fake.init,
            "is_initialized": lambda: bool(fake.inits),
            "remote": fake.remote,
            "kill": fake.kill,
            "get_actor": fake.get_actor,
            "nodes": lambda: fake.nodes,
            "get_runtime_context": context,
        },
        "ray.util": {
            "list_named_actors": lambda: [*fake.actors],
            "get_node_ip_address": lambda: "10.0.0.1",
        },
        "ray.util.scheduling_strategies": {"NodeAffinitySchedulingStrategy": _strategy},
        "ray.exceptions": {
            "RayError": RayError,
            "ActorDiedError": ActorDiedError,
            "GetTimeoutError": GetTimeoutError,
        },
        "ray.actor": {"exit_actor": fake.leave},
        "ray._private": {},
        "ray._private.state": {"state": drains},
    }


@contextmanager
def fake_ray() -> Iterator[FakeRay]:
    """Put this in the place of Ray."""
    fake = FakeRay()
    made = _modules(fake)
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "ray"}
    for name in before:
        del sys.modules[name]
    for name, content in made.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        sys.modules[name] = module
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)
    try:
        yield fake
    finally:
        for name in made:
            del sys.modules[name]
        sys.modules.update(before)
