"""Worker and initializer processes: sockets, disk, time. Applications never import this."""

import sys

# structlog loads rich where it can, for tracebacks in colours that our logs do not have: a sixth of
# the time in which a worker starts. Whoever imports rich later gets it.
_RICH = "rich"
if _RICH not in sys.modules:
    sys.modules[_RICH] = None  # type: ignore[assignment]
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules[_RICH]
