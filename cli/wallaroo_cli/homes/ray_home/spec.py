"""What the actors of one run are told. Ray stores it, so it holds no secret."""

from dataclasses import dataclass

from wallaroo_cli.homes.options import Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class RaySpec:
    """One run on Ray."""

    application: str
    """Its name, by which commands find it."""
    module: str
    folder: str
    """Where processes start; empty for the folder that Ray has unpacked, which has the module."""
    paths: list[str]
    """Other folders that have the module."""
    host_count: int
    """How many workers the run starts with."""
    standby: int
    worker_cpus: float
    spread: Spread
    autoscale: tuple[int, int] | None
    lease_s: float
    """After so long without the driver the run stops; infinite if it is detached."""
    head: str
    """The node that the manager avoids, since it may be lost with all that Ray knows."""
    is_local: bool
    """Whether nothing but this machine can reach Ray."""
    takes_over: bool
    """Whether there are checkpoints, which an earlier initializer may still use."""
    initializer: list[str]
    agent: list[str]
    arguments: list[str]
    log_form: str

    @property
    def module_paths(self) -> list[str]:
        """The options of ``wallaroo-run`` that say where the module is."""
        return [f"--application-path={path}" for path in self.paths]
