"""The report in a real browser, opened from disk with the network off; skipped where Chromium or selenium is absent."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import contagion_graph as cg
from tests.test_report import HOSTILE, market

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1280,900"),
)


def absent(what: str) -> None:
    """Skip, or fail where the environment says that a browser has to be there."""
    if "browser" in os.environ.get("CONTAGION_GRAPH_REQUIRE", "").split(","):
        pytest.fail(f"{what} is absent, and CONTAGION_GRAPH_REQUIRE asks for a browser")
    pytest.skip(f"{what} is absent")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start Chromium with a fresh profile, logs of its console and of all its requests, and no network."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        absent("chromium with its chromedriver")
    try:
        from selenium import webdriver
    except ImportError:
        absent("selenium")
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    browser.execute_cdp_cmd("Network.enable", {})
    off = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", off)
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def result() -> cg.CascadeResult:
    return market(1200)


@pytest.fixture(scope="module")
def path(result: cg.CascadeResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cg.write_report(result, tmp_path_factory.mktemp("report") / "report.html").path


@pytest.fixture
def page(chromium: Any, path: Path) -> Iterator[Any]:
    """Open the report; in the end no error stands in the console, and nothing was asked of anybody."""
    yield from opened(chromium, path)


def opened(chromium: Any, path: Path) -> Iterator[Any]:
    for log in ("browser", "performance"):
        chromium.get_log(log)
    chromium.get(path.as_uri())
    yield chromium
    assert chromium.get_log("browser") == []
    asked = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    urls = {one["params"]["request"]["url"] for one in asked if one["method"] == "Network.requestWillBeSent"}
    assert {url for url in urls if not url.startswith("data:")} == {path.as_uri()}


def run(page: Any, code: str, *arguments: Any) -> Any:
    return page.execute_script(f"const graph = document.getElementById('graph-view').graph; {code}", *arguments)


def press(page: Any, element: str, *keys: str) -> None:
    page.find_element("css selector", element).send_keys(*keys)


def until(condition: Callable[[], object]) -> None:
    """Wait for what a timer of the page does."""
    end = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < end, "the page did not do it within 20 seconds"
        time.sleep(0.05)


def column(page: Any, table: str, number: int) -> list[str]:
    cells = f"document.querySelectorAll('#table-{table} tbody tr > :nth-child({number})')"
    return page.execute_script(f"return [...{cells}].map((cell) => cell.textContent)")


def test_the_graph_draws(page: Any, result: cg.CascadeResult):
    assert run(page, "return graph.nodes('.trader').length") == 150
    assert run(page, "return graph.nodes('.asset').length") == len(result.graph.assets)
    inked = run(
        page,
        """const canvas = document.querySelectorAll('#graph-view canvas');
        return [...canvas].reduce((sum, one) => sum + one.getContext('2d').getImageData(0, 0, one.width, one.height)
          .data.filter((value, k) => k % 4 === 3 && value > 0).length, 0)""",
    )
    assert inked > 5000
    box = run(page, "const box = graph.elements().renderedBoundingBox(); return [box.x1, box.y1, box.x2, box.y2]")
    size = run(page, "return [graph.width(), graph.height()]")
    assert min(box[:2]) >= 0.0
    assert box[2] <= size[0]
    assert box[3] <= size[1]


def test_the_search_finds_a_trader_and_its_neighbours(page: Any, result: cg.CascadeResult):
    trader = result.traders["loss"].idxmax()
    press(page, "#search", trader, "\ue007")
    assert run(page, "return graph.nodes('.chosen').map((one) => one.data('label'))") == [trader]
    held = result.graph.to_scipy()[[result.traders.index.get_loc(trader)]].toarray()[0]
    assets = {str(asset) for asset, value in zip(result.graph.assets, held, strict=True) if value}
    listed = [button.text for button in page.find_elements("css selector", "#chosen button")]
    assert set(listed) == assets
    assert listed[0] == str(result.graph.assets[abs(held).argmax()])
    assert page.find_element("css selector", "#chosen h3").text == trader
    assert page.find_element("id", "found").text.startswith(f"{trader}: {len(assets)} asset")
    press(page, "#chosen button", "\ue007")  # the first neighbour, by keyboard
    assert page.find_element("css selector", "#chosen h3").text == listed[0]


def test_a_search_without_a_hit_says_so(page: Any):
    press(page, "#search", "nobody of this name", "\ue007")
    assert "Not among the nodes" in page.find_element("id", "found").text
    assert run(page, "return graph.elements('.faded').length") == 0


def test_the_rounds_play(page: Any, result: cg.CascadeResult):
    rounds = len(result.rounds)
    assert f"Round {rounds} of {rounds}" in page.find_element("id", "status").text
    press(page, "#round", "\ue011")  # Home: back to the shock
    assert page.find_element("id", "status").text.startswith("Round 0: the shock.")
    assert run(page, "return graph.nodes('.now, .closed').length") == 0
    press(page, "#play", "\ue007")
    until(lambda: page.find_element("id", "status").text.startswith("Round 1 of"))
    press(page, "#play", "\ue007")
    assert page.find_element("id", "play").text == "Play"
    press(page, "#round", "\ue011", "\ue014")  # Home, then one to the right
    core = run(page, "return graph.nodes('.trader').map((one) => one.data('label'))")
    first = result.traders.loc[core, "breach_round"]
    now = run(page, "return graph.nodes('.now').map((one) => one.data('label'))")
    assert set(now) == set(first.index[first == 1])
    press(page, "#round", "\ue010")  # End
    seen = run(page, "return graph.nodes('.now, .closed').map((one) => one.data('label'))")
    assert set(seen) == set(first.index[first > 0])
    shown = run(page, "return graph.nodes('.asset')[0].data('shown')")
    change = result.assets["price_after"].iloc[0] / result.assets["price_before"].iloc[0] - 1.0
    assert float(shown.split()[1]) == pytest.approx(100.0 * change, abs=0.06)


def test_the_player_stops_at_the_end(page: Any, result: cg.CascadeResult):
    rounds = len(result.rounds)
    press(page, "#round", "\ue010", "\ue012")  # End, then one to the left
    press(page, "#play", "\ue007")
    until(lambda: page.find_element("id", "play").text == "Play")
    assert f"Round {rounds} of {rounds}" in page.find_element("id", "status").text


def test_arrow_keys_go_from_node_to_node(page: Any):
    press(page, "#graph-view", "\ue014", "\ue014", "\ue012")  # right, right, left
    labels = run(page, "return graph.nodes().map((one) => one.data('label'))")
    assert run(page, "return graph.nodes('.chosen').map((one) => one.data('label'))") == labels[:1]
    before = run(page, "return graph.zoom()")
    press(page, "#graph-view", "+")
    assert run(page, "return graph.zoom()") > before
    press(page, "#graph-view", "0", "\ue00c")  # whole graph, Escape
    assert run(page, "return graph.zoom()") == pytest.approx(before)
    assert run(page, "return graph.nodes('.chosen').length") == 0


def test_tables_sort_and_filter(page: Any, result: cg.CascadeResult):
    gain = result.traders.sort_values("loss", kind="stable").index[:1000]
    header = "#table-traders thead th:nth-child(2) .dt-column-order"
    for descending, state in ((False, "ascending"), (True, "descending")):
        press(page, header, "\ue007")  # by keyboard
        until(lambda state=state: page.find_elements("css selector", f"#table-traders th[aria-sort='{state}']"))
        shown = [float(text.replace(",", "")) for text in column(page, "traders", 2)]
        assert shown == sorted(shown, reverse=descending)
        assert len(shown) == 25
    assert column(page, "traders", 1)[0] == result.traders["loss"].idxmax() != gain[0]
    wanted = result.traders["loss"].nlargest(1000).index[700]
    press(page, "input[aria-label^='filter Traders']", wanted)
    until(lambda: len(column(page, "traders", 1)) < 25)
    assert wanted in column(page, "traders", 1)


def test_everything_is_reached_by_tab_and_the_focus_is_seen(page: Any):
    page.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    seen = []
    for _ in range(40):
        page.switch_to.active_element.send_keys("\ue004")
        one = page.execute_script(
            "const one = document.activeElement; const look = getComputedStyle(one);"
            "return [one.id || one.getAttribute('aria-label') || one.textContent, look.outlineStyle, look.outlineWidth]"
        )
        seen.append(one[0])
        assert (one[1], one[2]) == ("solid", "3px")
    for name in ("Skip to the summary", "search", "play", "round", "closer", "farther", "fit", "graph-view"):
        assert name in seen
    labels = page.execute_script("return [...document.querySelectorAll('[aria-label]')].map((one) => one.ariaLabel)")
    assert {"filter Traders [currency]", "Traders [currency]"} <= set(labels)
    assert {"dt-search-0", "Traders [currency]", "loss: Activate to sort", "Next"} <= set(seen)


def test_labels_that_are_scripts_stay_text(chromium: Any, tmp_path: Path):
    path = cg.write_report(market(len(HOSTILE), HOSTILE), tmp_path / "report.html", title="a title").path
    for page in opened(chromium, path):
        assert page.title == "a title"
        assert run(page, "return graph.nodes('.trader').length") == len(HOSTILE)
        assert page.execute_script("return document.scripts.length") == 4
        assert page.execute_script("return document.images.length") == 1
        for label in HOSTILE[:5]:
            page.find_element("id", "search").clear()
            press(page, "#search", label, "\ue007")
            assert page.find_element("css selector", "#chosen h3").text == label
        press(page, "#table-traders thead th:nth-child(1) .dt-column-order", "\ue007")
        assert set(HOSTILE[:5]) <= set(column(page, "traders", 1))
        press(page, "input[aria-label^='filter Traders']", "owned")
        until(lambda page=page: len(column(page, "traders", 1)) < len(HOSTILE))
        assert page.title == "a title"


def test_a_phone_needs_no_scrolling_sideways(page: Any):
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        until(lambda: page.execute_script("return document.documentElement.scrollWidth") <= 390)
        until(lambda: run(page, "return graph.width()") <= 390)
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_paper_has_the_graph_as_a_picture_and_no_buttons(page: Any):
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        until(lambda: page.execute_script("return document.getElementById('printed').naturalWidth") > 500)
        shown = page.execute_script(
            "return [...document.querySelectorAll('#printed, #graph-view, nav, .tools, .dt-search')]"
            ".filter((one) => getComputedStyle(one).display !== 'none').map((one) => one.id)"
        )
        assert shown == ["printed"]
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
