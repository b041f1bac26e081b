"""Log lines for requests that aiohttp cannot parse, at a limited rate."""

import logging

from aiohttp.http_exceptions import HttpProcessingError

from wallaroo_workers.logs import get_logger
from wallaroo_workers.rate_limited_log import RateLimitedLog

log = get_logger()

AIOHTTP = logging.getLogger("aiohttp.server")


class Refusals(logging.Filter):
    """Replaces aiohttp's traceback for a broken request by one short line.

    It filters aiohttp's own logger while the page is served; all other lines pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told = RateLimitedLog(log.warning, "dashboard.rejected")

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether ``record`` is to be logged as it is."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            return True
        peer = record.args[0] if isinstance(record.args, tuple) and record.args else ""
        reason = error.message.strip().partition("\n")[0].rstrip(":")
        self._told.add(peer=str(peer), reason=reason or "the request is broken")
        return False
