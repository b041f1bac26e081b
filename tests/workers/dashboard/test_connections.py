"""Who can hold the page's port: so many, none for long that asks for nothing; and TLS."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from click.testing import CliRunner
from playwright.sync_api import expect

from tests.hosts.sites import make_certificates
from tests.workers.dashboard.browser import OPTIONS, Watched, chromium
from tests.workers.dashboard.lively import LivelyCluster
from tests.workers.dashboard.serving import SECRET, served, served_in_thread
from wallaroo_cli.cluster import main
from wallaroo_workers.dashboard import connections, guards, live, server
from wallaroo_workers.network.tls import TlsFiles, page_client_context, page_server_context

WAIT_S = 20.0
WITH_SECRET = {"Authorization": f"Bearer {SECRET.hex()}"}
LINE = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def cluster() -> LivelyCluster:
    return LivelyCluster()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    folder = make_certificates(tmp_path_factory.mktemp("certs"), "localhost")
    return TlsFiles(
        certificate=str(folder / "localhost.pem"),
        key=str(folder / "localhost-key.pem"),
        authority=str(folder / "ca.pem"),
    )


async def connected(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def wait_closed(reader: asyncio.StreamReader) -> bytes:
    """Return what arrives until the other side closes.

    It closes a connection that still sends with a reset, which must not discard what has arrived.
    """
    arrived = b""
    with contextlib.suppress(ConnectionError):
        while piece := await asyncio.wait_for(reader.read(1 << 16), WAIT_S):
            arrived += piece
    return arrived


async def drip(writer: asyncio.StreamWriter) -> None:
    """Send a header that never ends, byte by byte, for as long as somebody takes it."""
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)


async def ended(dripping: asyncio.Task[None], writer: asyncio.StreamWriter) -> None:
    """Drip no more."""
    dripping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await dripping
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


# Limits


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_connections_are_limited(
    cluster: LivelyCluster,
    monkeypatch: pytest.MonkeyPatch,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    assert connections.CONNECTIONS_MAX > live.LISTENERS_MAX + guards.REQUESTS_MAX
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 1)
    broken: list[dict[str, Any]] = []

    async def one_too_many() -> None:
        # What comes here ends an initializer.
        asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(context))
        async with served(cluster) as dashboard:
            _, first = await connected(dashboard.address)
            reader, second = await connected(dashboard.address)
            assert await wait_closed(reader) == b""
            first.close()
            second.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(one_too_many())
    assert broken == []


async def test_a_request_that_comes_byte_by_byte_is_given_up(
    cluster: LivelyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "FIRST_REQUEST_S", 0.5)
    async with served(cluster) as dashboard:
        reader, writer = await connected(dashboard.address)
        writer.write(LINE)
        dripping = asyncio.create_task(drip(writer))
        assert await wait_closed(reader) == b""
        await ended(dripping, writer)
        # One that asks stays: it listens for longer than that.
        async with (
            aiohttp.ClientSession(dashboard.url) as session,
            session.get("/api/live") as listening,
        ):
            for _ in range(2):
                assert await asyncio.wait_for(listening.content.readuntil(b"\n\n"), WAIT_S)


async def test_so_is_a_second_one(cluster: LivelyCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "KEEP_ALIVE_S", 0.5)
    async with served(cluster) as dashboard:
        reader, writer = await connected(dashboard.address)
        writer.write(LINE + b"\r\n" + LINE)
        dripping = asyncio.create_task(drip(writer))
        answers = await wait_closed(reader)
        assert answers.count(b"HTTP/1.1 200") == 1
        await ended(dripping, writer)


async def test_a_connection_that_begins_no_tls_counts_and_is_given_up(
    cluster: LivelyCluster, files: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 2)
    monkeypatch.setattr(connections, "FIRST_REQUEST_S", 0.5)
    monkeypatch.setattr(server, "FIRST_REQUEST_S", 0.5)
    async with served(cluster, tls=page_server_context(files)) as dashboard:
        silent = [await connected(dashboard.address) for _ in range(2)]
        for reader, writer in silent:
            assert await wait_closed(reader) == b""
            writer.close()
        context = page_client_context(files.authority)
        async with (
            aiohttp.ClientSession(dashboard.url) as session,
            session.get("/api/health", ssl=context) as response,
        ):
            assert response.status == 200


# TLS


async def test_with_tls_the_page_shows_its_certificate_and_asks_for_none(
    cluster: LivelyCluster, files: TlsFiles
) -> None:
    async with served(cluster, tls=page_server_context(files)) as dashboard:
        assert dashboard.url.startswith("https://")
        context = page_client_context(files.authority)
        async with aiohttp.ClientSession(dashboard.url) as session:
            async with session.get("/metrics", ssl=context) as response:
                assert "wallaroo_records_in_total" in await response.text()
            async with session.post("/api/actions/checkpoint", ssl=context) as response:
                assert response.status == 401
            async with session.post(
                "/api/actions/checkpoint", ssl=context, headers=WITH_SECRET
            ) as response:
                assert response.status == 200
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get("/metrics", ssl=ssl.create_default_context())
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://{dashboard.address}/metrics")


def test_a_browser_shows_the_page_over_tls(cluster: LivelyCluster, files: TlsFiles) -> None:
    with (
        served_in_thread(cluster, tls=page_server_context(files)) as page,
        chromium([*OPTIONS, "--ignore-certificate-errors"]) as browser,
    ):
        watched = Watched(browser.new_page())
        watched.page.goto(page.url + "/")
        expect(watched.page.get_by_role("status")).to_contain_text("The cluster is")
        watched.page.get_by_role("button", name="Checkpoint").click()
        dialog = watched.page.get_by_role("dialog")
        dialog.get_by_label("The cluster's secret").fill(SECRET.hex())
        dialog.get_by_role("button", name="Take checkpoint").click()
        expect(dialog).to_contain_text("Done. number: 7,601")
        assert watched.complaints == []


def test_top_speaks_tls(cluster: LivelyCluster, files: TlsFiles, tmp_path: Path) -> None:
    with served_in_thread(cluster, tls=page_server_context(files)) as page:
        command = ["top", "--once", "--dashboard", f"127.0.0.1:{page.port}"]
        shown = CliRunner().invoke(main, [*command, "--tls-ca", files.authority])
        assert "market spread" in shown.output
        for more in ([], ["--tls-ca", str(make_certificates(tmp_path, "other") / "ca.pem")]):
            refused = CliRunner().invoke(main, [*command, *more])
            assert refused.exit_code == 1
            assert "--tls-ca" in refused.output
