"""The page in a real Chromium: it lives, every place of it opens, its buttons work, nobody is
locked out, and nothing that comes from records is taken for markup."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.workers.dashboard.browser import VIEWS, WAIT_MS, Watched, chromium
from tests.workers.dashboard.lively import LivelyCluster
from tests.workers.dashboard.serving import SECRET, ServedInThread, served_in_thread

pytestmark = [
    pytest.mark.timeout(300),
    # Playwright's own loop is not closed by its sync interface when a test fails.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

expect.set_options(timeout=WAIT_MS)

PLACES = {
    "overview": "/",
    "pipeline": "/pipelines/orders",
    "inner pipeline": "/pipelines/refused",
    "step": "/steps/check%20order",
    "worker": "/workers/w3",
    "state": "/states/market",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def served() -> Iterator[ServedInThread]:
    with served_in_thread(LivelyCluster()) as page:
        yield page


@pytest.fixture
def opened(browser: Browser, served: ServedInThread) -> Iterator[Watched]:
    """The overview, live; at the end nothing may have complained."""
    context = browser.new_context(**VIEWS["light"])
    watched = Watched(context.new_page())
    watched.page.goto(served.url + "/")
    wait_live(watched.page)
    yield watched
    context.close()
    assert watched.complaints == []


def wait_live(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("The cluster is")


def tile(page: Page, name: str) -> str:
    """The figure of a tile."""
    row = page.locator("dl.tiles > div", has=page.locator(f"dt:text-is('{name}')"))
    return row.locator("dd").first.inner_text()


def give_secret(page: Page, secret: bytes = SECRET) -> None:
    page.get_by_role("dialog").get_by_label("The cluster's secret").fill(secret.hex())


# What is seen


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("place", PLACES)
def test_every_place_opens_in_every_view_without_a_complaint(
    browser: Browser, served: ServedInThread, place: str, view: str
) -> None:
    context = browser.new_context(**VIEWS[view])
    watched = Watched(context.new_page())
    watched.page.goto(served.url + PLACES[place])
    wait_live(watched.page)
    expect(watched.page.locator("live-chart canvas").first).to_be_visible()
    watched.screenshot(f"{place}-{view}")
    page_width = watched.page.evaluate("document.documentElement.scrollWidth")
    assert page_width <= VIEWS[view]["viewport"]["width"]
    context.close()
    assert watched.complaints == []


def test_what_is_shown_is_live(opened: Watched) -> None:
    before = tile(opened.page, "In")
    opened.page.wait_for_function(
        "before => document.querySelector('dl.tiles dd').innerText !== before", arg=before
    )


def test_charts_move_on_when_no_record_comes(browser: Browser) -> None:
    with served_in_thread(LivelyCluster(is_idle=True, durable=False)) as served:
        watched = Watched(browser.new_page())
        watched.page.goto(served.url + "/")
        wait_live(watched.page)
        watched.page.locator("summary", has_text="As a table").nth(1).click()
        newest = watched.page.locator("details[open] tbody th").first
        before = newest.inner_text()
        expect(newest).not_to_have_text(before)
        expect(watched.page.get_by_role("status")).to_contain_text("The cluster is healthy")
        assert tile(watched.page, "In").startswith("0")
        watched.screenshot("overview-idle")
        watched.page.close()
        assert watched.complaints == []


def test_places_are_reached_by_links_and_by_the_back_button(opened: Watched) -> None:
    page = opened.page
    links = page.get_by_role("navigation")
    for name, link in (
        ("orders", "orders"), ("check order", "check"), ("market", "market 3"), ("w3", "w3")
    ):  # fmt: skip
        links.get_by_role("link", name=link).first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        expect(page).to_have_title(re.compile(re.escape(name)))
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("market")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("market")
    page.goto(page.url.rsplit("/", 1)[0] + "/nobody")
    expect(page.get_by_role("heading", level=1)).to_have_text("Not here")


def test_each_worker_has_its_part_of_pipelines_and_steps(opened: Watched) -> None:
    page = opened.page
    links = page.get_by_role("navigation")
    for link, by_worker, by_size in (
        ("orders", "orders by worker", "Latency of orders by size"),
        ("check", "check order by worker", "Time in its function by size"),
    ):
        links.get_by_role("link", name=link).first.click()
        rows = page.get_by_role("table", name=by_worker).get_by_role("row")
        expect(rows).to_have_count(6)
        expect(rows.filter(has_text="w3")).to_contain_text("ms" if link == "orders" else "µs")
        expect(rows.filter(has_text="w0")).to_contain_text("left")
        expect(page.get_by_role("img", name=by_size)).to_be_visible()
    links.get_by_role("link", name="w3").click()
    expect(page.get_by_role("img", name=re.compile("Throughput of w3.* out now"))).to_be_visible()
    expect(page.get_by_role("img", name="Latency on w3 by size")).to_be_visible()
    nodes = page.get_by_role("table", name="Nodes on w3")
    nodes.get_by_role("link", name="check order").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("check order")


def test_splits_are_listed_with_the_largest_lag_first(opened: Watched) -> None:
    page = opened.page
    for link in ("market data", "w3"):
        page.get_by_role("navigation").get_by_role("link", name=link).first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text(link)
        rows = page.get_by_role("table", name="Splits").get_by_role("row")
        expect(rows).to_have_count(5)
        expect(rows.nth(1)).to_contain_text("start")
        expect(rows.nth(2).get_by_role("cell")).to_have_text(
            ["market data", "w3", "40", "42", "2", "31.0 s", "no"]
        )
        expect(rows.filter(has_text="there").get_by_role("cell").last).to_have_text("yes")
        torn = rows.filter(has_text="torn")
        expect(torn.get_by_role("cell").nth(2)).to_have_text('[9,"a"]')
        expect(torn).to_contain_text("it has no records")


def test_undelivered_batches_of_a_sink_are_shown(opened: Watched) -> None:
    page = opened.page
    for worker, text in (("w3", "2 batches, 4.0 KiB"), ("w4", "\u2013")):
        page.get_by_role("navigation").get_by_role("link", name=worker).click()
        sinks = page.get_by_role("table", name="Sinks").get_by_role("row").nth(1)
        expect(sinks).to_contain_text(worker)
        expect(sinks.get_by_role("cell").nth(7)).to_have_text(text)


def test_the_window_of_time_can_be_chosen(opened: Watched) -> None:
    button = opened.page.get_by_role("button", name="1 h").first
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    chart = opened.page.get_by_role("img", name=re.compile("Throughput over the last hour"))
    expect(chart).to_be_visible()


def test_what_happened_is_listed_and_marked_in_the_charts(opened: Watched) -> None:
    page = opened.page
    rows = page.get_by_role("table", name="What happened").get_by_role("row")
    expect(rows).to_have_count(7)
    expect(rows.nth(1)).to_contain_text("the journals of w2 are gone")
    expect(rows.nth(5)).to_contain_text("7 times, the last")
    for chart in ("Throughput over", "Latency over"):
        marked = page.get_by_role("img", name=re.compile(chart))
        # The start is longer ago than the chart shows.
        expect(marked).to_have_attribute("aria-label", re.compile("5 marks: .* worker w4 was lost"))
        assert drawn_marks(page, chart) == 5


def drawn_marks(page: Page, chart: str) -> int:
    """The vertical lines that the chart has, as its canvas was told to draw them."""
    return int(
        page.evaluate(
            """async (name) => {
                const echarts = await import("/static/vendor/echarts/echarts.esm.min.mjs");
                const charts = [...document.querySelectorAll("live-chart")];
                const chart = charts.find((each) => each.ariaLabel.startsWith(name));
                const [first] = echarts.getInstanceByDom(chart).getOption().series;
                return first.markLine.data.length;
            }""",
            chart,
        )
    )


def test_labels_of_keys_fit_and_keep_both_ends(browser: Browser) -> None:
    common = "customer-" + "0" * 60
    keys = ["W" * 90, f"{common}1", f"{common}2", "漢" * 90, "two\nlines", "{a|b}"]
    with served_in_thread(ManyKeys(keys)) as served:
        watched = Watched(browser.new_page(**VIEWS["phone"]))
        watched.page.goto(served.url + "/states/market")
        wait_live(watched.page)
        labels = watched.page.evaluate(
            """async (keys) => {
                const { fitText, textWidth } = await import("/static/js/charts/common.js");
                const { palette } = await import("/static/js/charts/palette.js");
                const colours = palette();
                return keys.map((key) => fitText(key, colours, 120))
                    .map((text) => [text, textWidth(text, colours)]);
            }""",
            keys,
        )
        texts = [text for text, _ in labels]
        assert all(width <= 120 for _, width in labels)
        assert texts[1].startswith("custom") and texts[1].endswith("1")
        assert texts[2].endswith("2")
        assert texts[4:] == ["two lines", "{a|b}"]
        expect(watched.page.locator("live-chart.bars canvas")).to_be_visible()
        watched.screenshot("state-long-keys-phone")
        watched.page.close()
        assert watched.complaints == []


class ManyKeys(LivelyCluster):
    """A cluster whose hottest keys are these."""

    def __init__(self, keys: list[str]) -> None:
        super().__init__()
        self._keys = keys

    def _states(self, total: int) -> list[dict[str, Any]]:
        [state] = super()._states(total)
        hottest = [
            {"key": key, "share": 0.1, "count": total // 10, "worker": "w1"} for key in self._keys
        ]
        return [{**state, "hottest": hottest}]


def test_series_that_are_on_their_way_are_loading(browser: Browser, served: ServedInThread) -> None:
    page = browser.new_page(**VIEWS["light"])
    page.route("**/api/history*", lambda _route: None)  # never answered
    page.goto(served.url + "/")
    wait_live(page)
    card = page.get_by_role("region", name="Throughput")
    expect(card).to_contain_text("Loading")
    expect(card).not_to_contain_text("measured")
    page.unroute_all(behavior="ignoreErrors")
    page.close()


def test_a_sink_under_pressure_is_named_once(browser: Browser) -> None:
    with served_in_thread(SharedSink()) as served:
        page = browser.new_page(**VIEWS["light"])
        page.goto(served.url + "/")
        wait_live(page)
        told = page.get_by_text("back-pressure at").first
        expect(told).to_have_text("▲ back-pressure at tcp sink to 127.0.0.1:7002")
        page.close()


class SharedSink(LivelyCluster):
    """A cluster in which two pipelines write to one sink, which does not keep up."""

    def _graph(self, rate: float, total: int) -> dict[str, Any]:
        graph = super()._graph(rate, total)
        [sink] = [node for node in graph["nodes"] if node["kind"] == "sink"]
        for node in graph["nodes"]:
            node["under_pressure"] = False
        sink |= {"name": "tcp sink to 127.0.0.1:7002", "under_pressure": True}
        second = {**sink, "id": "orders/sink#2", "name": "tcp sink to 127.0.0.1:7002#2"}
        return {**graph, "nodes": [*graph["nodes"], second]}


def test_what_comes_from_records_is_text(opened: Watched) -> None:
    page = opened.page
    expect(page.locator(".letters code", has_text="<script>").first).to_be_visible()
    assert page.locator("#main script, #main img[src=x]").count() == 0
    assert page.title() == "market spread"


def test_the_state_of_a_key_is_shown(opened: Watched, served: ServedInThread) -> None:
    page = opened.page
    page.get_by_role("navigation").get_by_role("link", name="market 3").click()
    page.get_by_label("Key", exact=True).fill("AAPL")
    page.get_by_role("button", name="Look up").click()
    expect(page.locator(".answer dl")).to_contain_text("Market")
    expect(page.locator(".answer dl")).to_contain_text("<script>")
    windows = page.get_by_role("table", name="The first 1 of 2 windows")
    expect(windows).to_contain_text("1970-01-01 00:02:00.000 UTC")
    expect(windows).to_contain_text("<script>")
    timers = page.get_by_role("table", name="Pending timers and alarms")
    expect(timers).to_contain_text("silent")
    opened.screenshot("state-key")
    assert served.cluster.asked == [("get", {"state": "market", "key": "AAPL", "type": "str"})]


def test_clocks_are_shown_with_what_they_wait_for(opened: Watched) -> None:
    page = opened.page
    clocks = page.get_by_role("table", name="Clocks of states").get_by_role("row")
    expect(clocks).to_have_count(3)
    expect(clocks.nth(1)).to_contain_text("1970-01-01 00:01:00.500 UTC")
    expect(clocks.nth(1)).to_contain_text("results due")
    expect(clocks.nth(1)).to_contain_text("source 'orders' on w3, silent for 5 s")
    expect(clocks.nth(2)).to_contain_text("the first record")
    clocks.nth(1).get_by_role("link", name="market").click()
    expect(page.get_by_role("table", name="Clocks of states").get_by_role("row")).to_have_count(2)


# Buttons


def test_a_button_asks_for_the_secret_once_and_says_what_came_of_it(
    opened: Watched, served: ServedInThread
) -> None:
    page = opened.page
    page.get_by_role("button", name="Checkpoint").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("All workers save the keys that have changed")
    opened.screenshot("dialog-checkpoint")
    assert served.cluster.asked == []
    give_secret(page)
    dialog.get_by_role("button", name="Take checkpoint").click()
    expect(dialog).to_contain_text("Done. number: 7,601")
    dialog.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Grow").click()
    expect(dialog.get_by_label("The cluster's secret")).to_have_value(SECRET.hex())
    dialog.get_by_label("How many").fill("2")
    dialog.get_by_role("button", name="Add workers").click()
    expect(dialog).to_contain_text("added: w5, w6")
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("navigation").get_by_role("link", name="w6")).to_be_visible()
    assert [method for method, _ in served.cluster.asked] == ["checkpoint", "grow"]
    assert page.context.cookies() == []


def test_workers_that_leave_are_chosen(opened: Watched, served: ServedInThread) -> None:
    page = opened.page
    page.get_by_role("button", name="Shrink").click()
    dialog = page.get_by_role("dialog")
    give_secret(page)
    dialog.get_by_role("button", name="Remove workers").click()
    expect(dialog).to_contain_text("Choose at least one worker")
    dialog.get_by_label("w4").check()
    dialog.get_by_role("button", name="Remove workers").click()
    expect(dialog).to_contain_text("left: w4")
    assert served.cluster.asked == [("shrink", {"names": ["w4"]})]


def test_a_stop_can_be_thought_better_of(opened: Watched, served: ServedInThread) -> None:
    page = opened.page
    page.get_by_role("button", name="Stop").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("all processes end")
    opened.screenshot("dialog-stop")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert served.cluster.asked == []
    page.get_by_role("button", name="Stop").click()
    give_secret(page)
    dialog.get_by_role("button", name="Stop the cluster").click()
    expect(dialog).to_contain_text("The cluster has stopped")
    assert served.cluster.asked == [("stop", {})]


def test_a_wrong_secret_is_told_and_forgotten(browser: Browser, served: ServedInThread) -> None:
    page = browser.new_page()
    page.goto(served.url + "/")
    wait_live(page)
    page.get_by_role("button", name="Checkpoint").click()
    give_secret(page, b"wrong")
    page.get_by_role("button", name="Take checkpoint").click()
    expect(page.get_by_role("dialog")).to_contain_text("secret is missing or wrong")
    assert served.cluster.asked == []
    page.close()


# After the cluster has ended


def test_a_page_without_its_cluster_says_so_and_since_when(
    browser: Browser, served: ServedInThread
) -> None:
    page = browser.new_page(**VIEWS["light"])
    page.goto(served.url + "/")
    wait_live(page)
    served.go_away()
    expect(page.get_by_role("status")).to_have_text(
        re.compile(r"Disconnected since \d\d:\d\d:\d\d")
    )
    expect(page.get_by_role("button", name="Stop")).to_be_disabled()
    Watched(page).screenshot("overview-gone")
    served.start()
    expect(page.get_by_role("status")).to_contain_text("The cluster is")
    page.close()


# For everybody


@pytest.mark.parametrize(
    ("place", "scheme"), [*((place, "light") for place in PLACES), ("overview", "dark")]
)
def test_the_rules_of_accessibility_hold(
    browser: Browser, served: ServedInThread, place: str, scheme: str
) -> None:
    context = browser.new_context(**VIEWS[scheme], reduced_motion="reduce", bypass_csp=True)
    page = context.new_page()
    page.goto(served.url + PLACES[place])
    wait_live(page)
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]})
    assert [_violation(each) for each in found.response["violations"]] == []
    context.close()


def _violation(each: dict[str, Any]) -> str:
    nodes = "; ".join(node["html"][:120] for node in each["nodes"][:3])
    return f"{each['id']} ({each['help']}): {nodes}"


def test_the_keyboard_reaches_everything(opened: Watched) -> None:
    page = opened.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_dark_and_light_can_be_switched_and_stay_so(opened: Watched) -> None:
    page = opened.page
    page.get_by_role("button", name="Dark colours").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    expect(page.get_by_role("button", name="Light colours")).to_be_visible()
