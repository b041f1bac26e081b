"""Worker and initializer processes: sockets, disk, time. Applications never import this."""

import sys

# structlog imports rich if it is installed, for coloured tracebacks that our logs do not use. That
# takes a sixth of a worker's start. Code that imports rich later still gets it.
_RICH = "rich"
if _RICH not in sys.modules:
    sys.modules[_RICH] = None  # type: ignore[assignment]
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules[_RICH]
