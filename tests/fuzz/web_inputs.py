"""What clients without the secret may send to the cluster's page, drawn from one seed."""

import json
import random

from tests.fuzz.said import Inputs, Said, flipped

PATHS = (
    *("/", "/steps/known", "/api/snapshot", "/api/history", "/api/health", "/api/live"),
    *("/metrics", "/static/app.js", "/static/../../../server.py", "/static/%2e%2e/server.py"),
    *("/api/states/tallies/key?key=key1", "/api/states/none/key?key=%ff&type=int"),
    *("/api/history?window=300", "/api/history?window=" + "9" * 5_000, "/\x7f", "*", "//x"),
)
ACTIONS = ("stop", "shrink", "grow", "checkpoint", "drain", "none")
BODIES = (b"{}", b'{"count": 1}', b'{"names": ["w1"]}', b"[" * 50_000, b"\xff", b"1" * 70_000)


class WebInputs:
    """Requests, whole and broken; and what ``others`` draws, which is not HTTP at all."""

    def __init__(self, seed: int, port: int, others: Inputs) -> None:
        self._chance = random.Random(seed)
        self._hosts = [f"127.0.0.1:{port}", "localhost", "evil.example", "", "[::1", "a" * 5_000]
        self._others = others

    def draw(self) -> Said:
        """Return the next input."""
        if self._chance.random() < 0.2:
            return self._others.draw()
        kind, data = self._chance.choice(
            [
                ("a question", self._question),
                ("an action without the secret", self._action),
                ("an action with a wrong secret", lambda: self._action(self._wrong_secret())),
                ("a changed question", lambda: flipped(self._chance, self._question())),
                ("half a question", self._half),
                ("a hundred questions at once", lambda: self._question() * 100),
                ("endless headers", lambda: b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 5_000),
                ("a great body", self._great_body),
                ("another protocol", self._upgrade),
            ]
        )
        return Said(f"page: {kind}", data())

    def _head(self, method: str, path: str, *headers: str) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._chance.choice(self._hosts)}"]
        return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1")

    def _question(self) -> bytes:
        method = self._chance.choice(["GET", "HEAD", "OPTIONS", "TRACE", "DELETE"])
        return self._head(method, self._chance.choice(PATHS))

    def _action(self, *headers: str) -> bytes:
        body = self._chance.choice(BODIES)
        path = f"/api/actions/{self._chance.choice(ACTIONS)}"
        own = ("Content-Type: application/json", f"Content-Length: {len(body)}")
        return self._head("POST", path, *own, *headers) + body

    def _wrong_secret(self) -> str:
        length = self._chance.choice([0, 16, 44, 6_000])
        wrong = json.dumps(self._chance.randbytes(length).hex())
        return f"Authorization: Bearer {wrong}"

    def _half(self) -> bytes:
        question = self._question()
        return question[: self._chance.randrange(len(question))]

    def _great_body(self) -> bytes:
        chunked = self._chance.random() < 0.5
        length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 99999999999999"
        head = self._head("POST", "/api/actions/stop", length)
        return head + (b"ffffffffff\r\n" if chunked else b"") + b"x" * 20_000

    def _upgrade(self) -> bytes:
        own = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
        return self._head("GET", "/api/live", *own)
