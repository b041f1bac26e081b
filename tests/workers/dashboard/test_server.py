"""The page's server: what it answers, to whom, and where its limits are."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from tests.workers.dashboard.lively import HOSTILE, LivelyCluster
from tests.workers.dashboard.serving import SECRET, served
from wallaroo.errors import ClusterError, ConfigError
from wallaroo_workers.dashboard import freshness, guards, live
from wallaroo_workers.dashboard.server import BODY_BYTES_MAX, Dashboard
from wallaroo_workers.dashboard.settings import DashboardSettings
from wallaroo_workers.network.frames import split_address

WITH_SECRET = {"Authorization": f"Bearer {SECRET.hex()}"}
WAIT_S = 20.0


@pytest.fixture
def cluster() -> LivelyCluster:
    return LivelyCluster()


@pytest.fixture
async def page(cluster: LivelyCluster) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the cluster's page."""
    async with served(cluster) as dashboard, aiohttp.ClientSession(dashboard.url) as session:
        yield session


@contextlib.asynccontextmanager
async def off_loopback(cluster: LivelyCluster) -> AsyncIterator[aiohttp.ClientSession]:
    """A page that other machines reach."""
    settings = DashboardSettings(address="0.0.0.0:0")
    async with served(cluster, settings) as dashboard:
        port = dashboard.address.rpartition(":")[2]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}/") as session:
            yield session


async def events(response: aiohttp.ClientResponse, count: int) -> list[tuple[str, Any]]:
    """The next events of a stream."""
    found: list[tuple[str, Any]] = []
    while len(found) < count:
        block = await asyncio.wait_for(response.content.readuntil(b"\n\n"), WAIT_S)
        name, data = block.decode().strip().split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


# Reading


@pytest.mark.parametrize(
    "path", ["/", "/pipelines/orders", "/steps/check%20order", "/workers/w1", "/states/a%2Fb"]
)
async def test_every_page_is_one_file(page: aiohttp.ClientSession, path: str) -> None:
    async with page.get(path) as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        assert "/static/js/main.js" in await response.text()


async def test_every_answer_lets_a_browser_load_from_here_only(page: aiohttp.ClientSession) -> None:
    for path in ("/", "/api/snapshot", "/static/js/main.js", "/nothing", "/metrics"):
        async with page.get(path) as response:
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Cache-Control"] in ("no-store", "no-cache")


async def test_a_snapshot_is_made_once_a_second_for_all(
    page: aiohttp.ClientSession, cluster: LivelyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A loaded machine takes more than a second for these requests.
    monkeypatch.setattr(freshness, "AGE_MAX_S", 1000.0)
    for _ in range(5):
        async with page.get("/api/snapshot") as response:
            assert (await response.json())["application"] == "market spread"
    assert cluster.snapshot_count == 1


async def test_history_is_kept_for_three_windows(
    page: aiohttp.ClientSession, cluster: LivelyCluster
) -> None:
    async with page.get("/api/history", params={"window": "3600"}) as response:
        history = await response.json()
    assert len(history["t"]) == len(history["in"]) == len(history["p99"]) == 360
    for wrong in ("1", "a", "-300", "³", "9" * 5_000):
        async with page.get("/api/history", params={"window": wrong}) as response:
            assert response.status == 400
            assert "300, 3600, 86400" in (await response.json())["hint"]
    assert cluster.history_count == 1


async def test_health_is_a_status_for_programs(
    page: aiohttp.ClientSession, cluster: LivelyCluster
) -> None:
    async with page.get("/api/health") as response:
        assert response.status == 200
        assert (await response.json())["state"] == "degraded"


async def test_a_scrape_is_read_by_prometheus_own_parser(page: aiohttp.ClientSession) -> None:
    async with page.get("/metrics") as response:
        assert response.content_type == "text/plain"
        families = {each.name: each for each in text_string_to_metric_families(
            await response.text())}  # fmt: skip
    assert families["wallaroo_records_in"].type == "counter"
    assert {sample.labels["worker"] for sample in families["wallaroo_records_in"].samples} == {
        "w1", "w2", "w3", "w4"
    }  # fmt: skip
    async with page.get(
        "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    ) as response:
        assert (await response.text()).endswith("# EOF\n")


async def test_a_key_is_looked_up_through_the_requests(
    page: aiohttp.ClientSession, cluster: LivelyCluster
) -> None:
    async with page.get("/api/states/market/key", params={"key": HOSTILE}) as response:
        assert response.content_type == "application/json"
        assert (await response.json())["key"] == HOSTILE
    assert cluster.asked == [("get", {"state": "market", "key": HOSTILE, "type": "str"})]
    for params in ({}, {"key": "x" * 4097}):
        async with page.get("/api/states/market/key", params=params) as response:
            assert response.status == 400
    async with page.get("/api/states/other/key", params={"key": "a"}) as response:
        assert (response.status, await response.json()) == (
            400,
            {"error": "there is no state 'other'", "hint": "there is market"},
        )


@pytest.mark.parametrize("path", ["/nothing", "/api/nothing", "/static/../server.py", "/static/"])
async def test_nothing_else_is_there(page: aiohttp.ClientSession, path: str) -> None:
    async with page.get(path) as response:
        assert response.status in (403, 404)
        assert "error" in await response.json()


# Live


async def test_listeners_hear_a_snapshot_each_second(page: aiohttp.ClientSession) -> None:
    async with page.get("/api/live") as response:
        assert response.content_type == "text/event-stream"
        (_, first), (_, second) = await events(response, 2)
    assert second["now_unix_s"] > first["now_unix_s"]


async def test_nothing_is_made_when_nobody_looks(
    page: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "INTERVAL_S", 0.01)
    async with page.get("/api/live") as response:
        await events(response, 2)
    async with page.get("/api/live") as response:
        await events(response, 1)
        ticking = [task for task in asyncio.all_tasks() if "Live._tick" in repr(task.get_coro())]
        assert ticking
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(*ticking)


async def test_there_is_room_for_so_many_listeners(
    page: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LISTENERS_MAX", 1)
    async with page.get("/api/live") as first, page.get("/api/live") as second:
        assert (first.status, second.status) == (200, 503)


async def test_a_snapshot_that_fails_ends_neither_the_listener_nor_the_cluster(
    page: aiohttp.ClientSession, cluster: LivelyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "INTERVAL_S", 0.01)
    monkeypatch.setattr("wallaroo_workers.dashboard.freshness.AGE_MAX_S", 0.0)
    async with page.get("/api/live") as response:
        await events(response, 1)
        cluster.is_broken = True
        while not (await response.content.readuntil(b"\n\n")).startswith(b": no snapshot"):
            pass
        cluster.is_broken = False
        while not (await response.content.readuntil(b"\n\n")).startswith(b"event: snapshot"):
            pass
    cluster.is_broken = True
    with capture_logs() as logged:
        async with page.get("/api/snapshot") as response:
            assert response.status == 500
    # The server may notice a moment later that the listener has closed.
    assert [line["event"] for line in logged].count("dashboard.request_failed") == 1


async def test_listeners_end_with_the_server(cluster: LivelyCluster) -> None:
    async with (
        served(cluster) as dashboard,
        aiohttp.ClientSession(dashboard.url) as session,
        session.get("/api/live") as response,
    ):
        await events(response, 1)
        await dashboard.close()
        with contextlib.suppress(aiohttp.ClientPayloadError):
            await asyncio.wait_for(response.content.read(), WAIT_S)
        assert dashboard.address == ""


# Acting


async def test_an_action_needs_the_secret(
    page: aiohttp.ClientSession, cluster: LivelyCluster
) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"secret={SECRET.hex()}"}):
        async with page.post("/api/actions/stop", headers=headers) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
    assert cluster.asked == []
    async with page.post("/api/secret", headers=WITH_SECRET) as response:
        assert response.status == 204


async def test_an_action_goes_through_the_requests_and_its_progress_to_all(
    page: aiohttp.ClientSession, cluster: LivelyCluster
) -> None:
    async with page.get("/api/live") as stream:
        await events(stream, 1)
        async with page.post(
            "/api/actions/grow", headers=WITH_SECRET, json={"workers": 2}
        ) as response:
            assert (await response.json())["added"] == ["w5", "w6"]
        heard = await events(stream, 1)
        while heard[-1][0] != "progress":
            heard += await events(stream, 1)
    assert heard[-1][1] == {"action": "grow", "text": "grow has begun"}
    assert cluster.asked == [("grow", {"workers": 2})]


async def test_an_action_goes_on_when_its_browser_goes_away(
    page: aiohttp.ClientSession, cluster: LivelyCluster
) -> None:
    cluster.may_go_on.clear()
    asking = asyncio.create_task(
        page.post("/api/actions/grow", headers=WITH_SECRET, json={"workers": 1}).__aenter__()
    )
    await cluster.was_asked.wait()
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    cluster.may_go_on.set()
    async with page.get("/api/live") as stream:
        while len((await events(stream, 1))[0][1].get("workers", [])) < 5:
            pass
    assert cluster.workers[-1] == "w5"


@pytest.mark.parametrize(
    ("refusal", "status"),
    [(ClusterError("it is busy", hint="try again"), 409), (ConfigError("no such worker"), 400)],
)
async def test_a_refusal_says_why(
    page: aiohttp.ClientSession, cluster: LivelyCluster, refusal: ClusterError, status: int
) -> None:
    cluster.refusal = refusal
    async with page.post("/api/actions/shrink", headers=WITH_SECRET, json={}) as response:
        assert response.status == status
        assert await response.json() == {"error": refusal.what, "hint": refusal.hint}


@pytest.mark.parametrize(
    ("action", "body", "status"),
    [("explode", b"{}", 404), ("stop", b"{", 400), ("stop", b"[]", 400), ("get", b"{}", 404),
     ("grow", b" " * (BODY_BYTES_MAX + 1), 413)],
)  # fmt: skip
async def test_an_unknown_or_malformed_action_is_refused(
    page: aiohttp.ClientSession, cluster: LivelyCluster, action: str, body: bytes, status: int
) -> None:
    async with page.post(f"/api/actions/{action}", headers=WITH_SECRET, data=body) as response:
        assert response.status == status
        assert "error" in await response.json()
    assert cluster.asked == []


# Unauthenticated peers


async def test_a_name_that_was_bound_to_this_machine_is_refused(
    page: aiohttp.ClientSession,
) -> None:
    for path in ("/", "/api/snapshot", "/metrics", "/static/js/main.js"):
        async with page.get(path, headers={"Host": "evil.example"}) as response:
            assert response.status == 421
            assert "--dashboard-host" in (await response.json())["hint"]


async def test_a_page_from_elsewhere_may_not_act(
    page: aiohttp.ClientSession, cluster: LivelyCluster
) -> None:
    headers = WITH_SECRET | {"Origin": "http://evil.example"}
    async with page.post("/api/actions/stop", headers=headers) as response:
        assert response.status == 403
    assert cluster.asked == []


async def test_off_this_machine_reading_needs_the_secret_too(cluster: LivelyCluster) -> None:
    async with off_loopback(cluster) as page:
        for path in ("/api/snapshot", "/api/live", "/api/health", "/metrics", "/api/history"):
            async with page.get(path) as response:
                assert response.status == 401
        for path in ("/", "/static/js/main.js"):
            async with page.get(path) as response:
                assert response.status == 200
        async with page.get("/api/snapshot", headers=WITH_SECRET) as response:
            assert response.status == 200
    assert cluster.snapshot_count == 1


# Limits and ports


async def test_requests_at_once_are_limited(
    page: aiohttp.ClientSession, cluster: LivelyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "REQUESTS_MAX", 1)
    cluster.may_go_on.clear()
    asking = asyncio.create_task(page.post("/api/actions/grow", headers=WITH_SECRET,
                                           json={"workers": 1}).__aenter__())  # fmt: skip
    await cluster.was_asked.wait()
    async with page.get("/api/snapshot") as response:
        assert response.status == 503
    cluster.may_go_on.set()
    (await asking).close()
    async with page.get("/api/snapshot") as response:
        assert response.status == 200


async def test_a_port_in_use_is_a_warning_that_names_it(cluster: LivelyCluster) -> None:
    async with served(cluster) as dashboard:
        settings = DashboardSettings(address=dashboard.address)
        second = Dashboard(settings, cluster, cluster, SECRET)
        with capture_logs() as logged:
            assert not await second.start()
        await second.close()
    (line,) = logged
    assert line["event"] == "dashboard.listen_failed"
    assert line["address"] == settings.address
    assert "--dashboard" in line["hint"]


async def test_broken_requests_fill_no_log(cluster: LivelyCluster) -> None:
    async with served(cluster) as dashboard:
        host, port = split_address(dashboard.address)
        with capture_logs() as lines:
            for _ in range(20):
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 5_000 + b"\r\n")
                answer = await asyncio.wait_for(reader.read(), WAIT_S)
                assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
                writer.close()
        told = [line for line in lines if line["event"] == "dashboard.rejected"]
        assert told
        assert len(told) < 20
        assert told[0] == {
            "event": "dashboard.rejected",
            "log_level": "warning",
            "peer": "127.0.0.1",
            "reason": "Too many headers received",
        }
