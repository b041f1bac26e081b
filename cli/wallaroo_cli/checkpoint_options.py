"""Options of ``wallaroo-run`` about checkpoints, none of which does anything without them."""

from collections.abc import Collection

from wallaroo.errors import ConfigError

ABOUT_CHECKPOINTS = (
    "checkpoint_interval",
    "keep_checkpoints",
    "max_checkpoint_failures",
    "journal_dir",
    "journal_sync",
    "from_checkpoint",
    "allow_dropped_state",
)


def check_checkpoints(resilience_dir: str | None, given: Collection[str]) -> None:
    """Refuse what is ``given`` in vain: whoever gives it believes that nothing can be lost.

    ``given`` are names of parameters. Raises ``ConfigError``.
    """
    if resilience_dir:
        return
    if vain := [name for name in ABOUT_CHECKPOINTS if name in given]:
        option = "--" + vain[0].replace("_", "-")
        raise ConfigError(
            f"{option} is about checkpoints, and there is no --resilience-dir",
            hint=f"add --resilience-dir DIR, or leave out {option}",
        )
