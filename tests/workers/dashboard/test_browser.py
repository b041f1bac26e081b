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
        expect(watched.page.get_by_role("status")).to_contain_text("The cluster is well")
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
        expect(rows.filter(has_text="w0")).to_contain_text("has left")
        expect(page.get_by_role("img", name=by_size)).to_be_visible()
    links.get_by_role("link", name="w3").click()
    expect(page.get_by_role("img", name=re.compile("Throughput of w3.* out now"))).to_be_visible()
    expect(page.get_by_role("img", name="Latency on w3 by size")).to_be_visible()
    places = page.get_by_role("table", name="Places on w3")
    places.get_by_role("link", name="check order").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("check order")


def test_the_window_of_time_can_be_chosen(opened: Watched) -> None:
    button = opened.page.get_by_role("button", name="1 h").first
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    chart = opened.page.get_by_role("img", name=re.compile("Throughput over the last hour"))
    expect(chart).to_be_visible()


def test_what_comes_from_records_is_text(opened: Watched) -> None:
    page = opened.page
    expect(page.locator(".letters code", has_text="<script>").first).to_be_visible()
    assert page.locator("#main script, #main img[src=x]").count() == 0
    assert page.title() == "market spread"


def test_the_state_of_a_key_is_shown(opened: Watched, served: ServedInThread) -> None:
    page = opened.page
    page.get_by_role("navigation").get_by_role("link", name="market 3").click()
    page.get_by_label("Key", exact=True).fill("AAPL")
    page.get_by_role("button", name="Look").click()
    expect(page.locator(".answer dl")).to_contain_text("Market")
    expect(page.locator(".answer dl")).to_contain_text("<script>")
    opened.screenshot("state-key")
    assert served.cluster.asked == [("get", {"state": "market", "key": "AAPL", "type": "str"})]


# Buttons


def test_a_button_asks_for_the_secret_once_and_says_what_came_of_it(
    opened: Watched, served: ServedInThread
) -> None:
    page = opened.page
    page.get_by_role("button", name="Checkpoint").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("All workers save what has changed")
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


# When the cluster is gone


def test_a_page_without_its_cluster_says_so_and_since_when(
    browser: Browser, served: ServedInThread
) -> None:
    page = browser.new_page(**VIEWS["light"])
    page.goto(served.url + "/")
    wait_live(page)
    served.go_away()
    expect(page.get_by_role("status")).to_have_text(re.compile(r"No contact since \d\d:\d\d:\d\d"))
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
