"""The page of a real cluster: what it shows is so, and its buttons reach the cluster."""

import socket
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.cluster.counted import act, get, run_file, scrape
from tests.cluster.harness import EXAMPLES, Cluster, Receiver, running, send_file, wait_until
from tests.workers.dashboard.browser import VIEWS, Watched, chromium

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

VOTES = EXAMPLES / "alphabet" / "votes.bin"


def started(cluster: Cluster) -> str:
    """Wait until records are taken; return where the page is."""
    cluster.wait_ready()
    return str(cluster.wait_event("dashboard.listening")["url"])


def test_the_page_of_a_cluster_shows_and_steers_it(tmp_path: Path) -> None:
    receiver = Receiver()
    folder = tmp_path / "alphabet"
    folder.mkdir()
    options = ["--application-path", str(EXAMPLES / "alphabet"), "--workers", "2"]
    places = ["--in", "127.0.0.1:0", "--out", receiver.address, "--dashboard", "127.0.0.1:0"]
    store = ["--resilience-dir", str(tmp_path / "state"), "--checkpoint-interval", "600"]
    with running(folder, "alphabet", *options, *places, *store) as cluster:
        url = started(cluster)
        facts = run_file(folder)
        assert url == f"http://{facts['dashboard']}/"
        send_file(cluster.source_port(), VOTES, "--binary", "--msg-size", "9")
        wait_until(
            "all votes are counted",
            lambda: get(f"{url}api/snapshot")["totals"]["in"] == VOTES.stat().st_size // 9,
        )
        _look(url)
        assert act(url, "checkpoint", facts["secret"])["number"] >= 1
        assert "wallaroo_records_in_total" in scrape(url)
        assert act(url, "stop", facts["secret"])["stopped"] is True
        assert cluster.wait_end() == 0
    receiver.close()


def _look(url: str) -> None:
    with chromium() as browser:
        watched = Watched(browser.new_page(**VIEWS["light"]))
        watched.page.goto(url)
        expect(watched.page.get_by_role("status")).to_contain_text("The cluster is")
        expect(watched.page.get_by_role("heading", level=1)).to_be_visible()
        for name in ("w2", "w1"):
            watched.page.get_by_role("navigation").get_by_role("link", name=name).click()
            expect(watched.page.get_by_role("heading", level=1)).to_have_text(name)
        watched.page.goto(url)
        expect(watched.page.locator("live-chart canvas").first).to_be_visible()
        watched.screenshot("real-cluster")
        state = get(f"{url}api/snapshot")["states"][0]
        watched.page.goto(f"{url}states/{state['name'].replace(' ', '%20')}")
        watched.page.get_by_label("Key", exact=True).fill("a")
        watched.page.get_by_role("button", name="Look up").click()
        expect(watched.page.locator(".answer dl")).to_be_visible()
        watched.screenshot("real-state")
        assert watched.complaints == []


def test_a_taken_port_leaves_the_cluster_without_its_page(tmp_path: Path) -> None:
    receiver = Receiver()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        options = ["--application-path", str(EXAMPLES / "alphabet"), "--dashboard", address]
        places = ["--in", "127.0.0.1:0", "--out", receiver.address]
        with running(tmp_path, "alphabet", *options, *places) as cluster:
            cluster.wait_ready()
            assert cluster.wait_event("dashboard.listen_failed")["address"] == address
            assert run_file(tmp_path)["dashboard"] == ""
            assert cluster.stop() == 0
    receiver.close()
