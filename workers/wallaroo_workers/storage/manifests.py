"""The manifests in a store, with the clock and the randomness of this process."""

import asyncio
import secrets
from collections.abc import Sequence

from wallaroo.checkpoint import manifest_log
from wallaroo.checkpoint.manifest_log import RETRY_PAUSES_S
from wallaroo.checkpoint.store import ObjectStore

TOKEN_BYTES = 8


class ManifestLog(manifest_log.ManifestLog):
    """The base class with pauses of the event loop."""

    def __init__(
        self, store: ObjectStore, retry_pauses_s: Sequence[float] = RETRY_PAUSES_S
    ) -> None:
        super().__init__(
            store, asyncio.sleep, lambda: secrets.token_hex(TOKEN_BYTES), retry_pauses_s
        )
