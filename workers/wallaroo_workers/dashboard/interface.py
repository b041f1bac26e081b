"""The JSON interface: the state of the cluster, the state of a key, and the actions."""

import asyncio
import json
from typing import Any

from aiohttp import web

from wallaroo.errors import ConfigError, WallarooError
from wallaroo_workers.dashboard.freshness import Fresh, encode_json
from wallaroo_workers.dashboard.live import Live
from wallaroo_workers.dashboard.observed import Observed, Steering
from wallaroo_workers.logs import get_logger

log = get_logger()

WINDOWS_S = (300, 3600, 86400)
"""The lengths of history that can be asked for."""
ACTIONS = frozenset({"checkpoint", "grow", "shrink", "stop"})
BODY_TIMEOUT_S = 10.0
LOOK_UP_TIMEOUT_S = 10.0
KEY_LENGTH_MAX = 4096


class Interface:
    """Answers everything below ``/api``."""

    def __init__(self, observed: Observed, steering: Steering) -> None:
        self._steering = steering
        self._observed = observed
        self._snapshot = Fresh(lambda: encode_json(observed.snapshot()))
        self._histories = {str(window_s): self._history_of(window_s) for window_s in WINDOWS_S}
        self._running: set[asyncio.Task[dict[str, Any]]] = set()
        """Actions, kept so that they go on if the browser that requested them disconnects."""
        self.live = Live(self._snapshot)

    def _history_of(self, window_s: int) -> Fresh:
        return Fresh(lambda: encode_json(self._observed.history(window_s)))

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/snapshot", self._serve_snapshot),
            web.get("/api/history", self._serve_history),
            web.get("/api/live", self.live.serve),
            web.get("/api/health", self._serve_health),
            web.get("/api/states/{state}/key", self._serve_key),
            web.post("/api/secret", self._serve_secret),
            web.post("/api/actions/{action}", self._serve_action),
        ]

    async def _serve_snapshot(self, _request: web.Request) -> web.Response:
        return _json(self._snapshot.get())

    async def _serve_history(self, request: web.Request) -> web.Response:
        asked = request.query.get("window", str(WINDOWS_S[0]))
        if asked not in self._histories:
            choice = ", ".join(map(str, WINDOWS_S))
            return failure(400, f"window={asked[:20]} is not kept", f"choose one of {choice}")
        return _json(self._histories[asked].get())

    async def _serve_health(self, _request: web.Request) -> web.Response:
        health = json.loads(self._snapshot.get())["health"]
        return _json(encode_json(health), 503 if health["state"] == "unhealthy" else 200)

    async def _serve_key(self, request: web.Request) -> web.Response:
        key = request.query.get("key")
        if key is None or len(key) > KEY_LENGTH_MAX:
            return failure(
                400, "no key, or too long a one", "add ?key=KEY, and &type=int for a number"
            )
        asked = {
            "state": request.match_info["state"],
            "key": key,
            "type": request.query.get("type", "str"),
        }
        try:
            async with asyncio.timeout(LOOK_UP_TIMEOUT_S):
                found = await self._steering.handle("get", asked, self.live.tell_progress)
        except TimeoutError:
            return failure(504, f"no answer within {LOOK_UP_TIMEOUT_S:g} s", "try again")
        except WallarooError as error:
            return _refusal(error)
        return _json(encode_json(found))

    async def _serve_secret(self, _request: web.Request) -> web.Response:
        # The guard has already checked the secret.
        return web.Response(status=204)

    async def _serve_action(self, request: web.Request) -> web.Response:
        action = request.match_info["action"]
        if action not in ACTIONS:
            return failure(404, f"there is no action {action!r}", f"there are {sorted(ACTIONS)}")
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                text = await request.text()
            params = json.loads(text) if text else {}
        except TimeoutError:
            return failure(408, f"the body did not arrive within {BODY_TIMEOUT_S:g} s", "")
        except ValueError:
            return failure(400, "the body is not JSON", "send an object with the parameters")
        if not isinstance(params, dict):
            return failure(
                400, "the body is not a JSON object", "send {} if there are no parameters"
            )
        log.info("dashboard.action_requested", action=action, peer=request.remote)
        task = asyncio.create_task(self._carry_out(action, params))
        self._running.add(task)
        task.add_done_callback(self._done)
        try:
            return _json(encode_json(await asyncio.shield(task)))
        except WallarooError as error:
            return _refusal(error)

    async def _carry_out(self, action: str, params: dict[str, Any]) -> dict[str, Any]:
        def progress(facts: dict[str, Any]) -> None:
            self.live.tell_progress({"action": action, **facts})

        return await self._steering.handle(action, params, progress)

    def _done(self, task: asyncio.Task[dict[str, Any]]) -> None:
        self._running.discard(task)
        # Read, so that asyncio does not report an error whose client has disconnected.
        if not task.cancelled():
            task.exception()


def failure(status: int, what: str, hint: str) -> web.Response:
    """Return an answer that says what is wrong and what to do."""
    return _json(encode_json({"error": what, "hint": hint}), status)


def _refusal(error: WallarooError) -> web.Response:
    return failure(400 if isinstance(error, ConfigError) else 409, error.what, error.hint or "")


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(
        body=body,
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
