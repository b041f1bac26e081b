"""What applies to every answer: limits, hosts, the secret, and headers that browsers obey."""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from wallaroo_workers.dashboard.access import Access
from wallaroo_workers.dashboard.interface import failure
from wallaroo_workers.logs import get_logger

log = get_logger()

REQUESTS_MAX = 64
"""How many requests may be under way; listeners are not counted."""

SECURITY_HEADERS = {
    # The page gets everything from here and nothing from anywhere else.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def guards(access: Access) -> list[Middleware]:
    """Return aiohttp's middlewares, the outermost first."""
    return [_errors_as_json, _limit(), _known_hosts(access), _secret(access)]


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers to every answer, including errors and files."""
    response.headers.update(SECURITY_HEADERS)
    response.headers.setdefault("Cache-Control", "no-cache")
    response.headers["Server"] = "wallaroo"


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return failure(error.status, error.text or error.reason, "")
    except Exception:  # a bug of the page must not end the cluster, and is logged
        log.exception("dashboard.request_failed", path=request.path)
        return failure(500, "this request failed; the initializer's log says why", "")


def _limit() -> Middleware:
    under_way = 0

    @web.middleware
    async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal under_way
        # Listeners stay connected, and have a limit of their own.
        if request.path == "/api/live":
            return await handler(request)
        if under_way >= REQUESTS_MAX:
            return failure(503, f"{REQUESTS_MAX} requests are under way", "try again in a second")
        under_way += 1
        try:
            return await handler(request)
        finally:
            under_way -= 1

    return limit


def _known_hosts(access: Access) -> Middleware:
    @web.middleware
    async def known_hosts(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host")
        if not access.knows_host(host):
            return failure(
                421,
                f"this page is not known by the name {host!r}",
                "use its address, or allow the name with --dashboard-host NAME",
            )
        if not access.is_same_origin(request.headers.get("Origin"), host):
            return failure(403, "a page from elsewhere may not ask this", "")
        return await handler(request)

    return known_hosts


def _secret(access: Access) -> Middleware:
    @web.middleware
    async def secret(request: web.Request, handler: Handler) -> web.StreamResponse:
        is_reading = request.method in ("GET", "HEAD")
        is_page = not request.path.startswith(("/api/", "/metrics"))
        if is_reading and (is_page or access.reading_is_open):
            return await handler(request)
        if not access.has_secret(request.headers.get("Authorization")):
            refusal = failure(
                401, "the cluster's secret is missing or wrong", "send Authorization: Bearer SECRET"
            )
            refusal.headers["WWW-Authenticate"] = "Bearer"
            return refusal
        return await handler(request)

    return secret
