"""A sink of two phases without checkpoints: each batch is prepared and committed at once."""

from typing import Any

from wallaroo.describing import a_type
from wallaroo.worker.sink_port import SinkContext
from wallaroo_workers.sinks.without_checkpoints import SlotSink


class TwoPhasesAtOnce(SlotSink):
    """Prepares and commits each batch when it is written."""

    def __init__(self, sink: Any, context: SinkContext, address: str) -> None:
        super().__init__(sink, context, address, instead="prepared and committed")

    async def call(self, name: str, *arguments: Any) -> Any:
        """Call the author's method, and what belongs to it without checkpoints."""
        match name:
            case "open":
                await super().call(name, self.slot)
                # Results of a batch that failed are written again, and a lost worker's are lost.
                for token in checked_tokens(await super().call("prepared")):
                    await super().call("abort", token)
            case "write":
                await super().call(name, *arguments)
                prepared = checked_token(await super().call("prepare"))
                if prepared is not None:
                    await super().call("commit", prepared)
            case _:
                await super().call(name, *arguments)


def checked_token(token: object) -> bytes | None:
    """Return what ``prepare`` returned; ``TypeError`` if it is not a token."""
    if token is None or type(token) is bytes:
        return token
    raise TypeError(f"prepare() returned {a_type(token)}; return the token as bytes, or None")


def checked_tokens(tokens: object) -> list[bytes]:
    """Return what ``prepared`` returned; ``TypeError`` if these are not tokens."""
    if isinstance(tokens, list) and all(type(each) is bytes for each in tokens):
        return tokens
    raise TypeError(f"prepared() returned {a_type(tokens)}; return a list of tokens, each as bytes")
