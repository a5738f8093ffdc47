"""The page in a real browser: found, opened, filtered, read on a phone, without network and without JavaScript."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.report import Provenance, Results, compare, page

HOSTILE = (
    '</script><script>window.hacked=1</script></pre><img src=x onerror="window.hacked=2"><!--<script>'
    "]]>'\"&amp; &lt; {{ 7 * 7 }} ${hacked} \u2028 <a href='https://example.org/'> javascript:hacked"
)
POOLS = [f"nodepool{n:02}" for n in range(10)]


class Page:
    """A page that is open in a browser."""

    def __init__(self, driver: Any, folder: Path) -> None:
        self.driver = driver
        self.path = folder / "report.html"

    def open(self, results: Results, baseline: Results | None = None, fragment: str = "") -> Page:
        self.path.write_text(page(results, compare(baseline, results) if baseline else None), encoding="utf-8")
        return self.go(fragment)

    def go(self, fragment: str) -> Page:
        # By way of another page: the same page with another fragment would not be loaded anew.
        self.driver.get("about:blank")
        self.driver.get(self.path.as_uri() + fragment)
        return self

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def until(self, script: str, *arguments: Any) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 120).until(lambda _: self.run(script, *arguments), f"never true: {script}")

    def choose(self, name: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.one(f"select[name={name}]")).select_by_value(value)

    @property
    def shown(self) -> list[str]:
        """The claims that can be seen."""
        found: list[str] = self.run(
            "return [...document.querySelectorAll('.claim')].filter(one => one.checkVisibility()).map(one => one.id)"
        )
        return found

    def sees(self, selector: str) -> bool:
        return bool(self.run("return document.querySelector(arguments[0]).checkVisibility()", selector))

    def resize(self, width: int, height: int = 844) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    def media(self, kind: str = "", scheme: str = "light") -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"media": kind, "features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )


@pytest.fixture
def opened(chromium: Any, tmp_path: Path) -> Iterator[Page]:
    """A page to open; afterwards the browser is as before. Nothing may have been complained about in its console."""
    one = Page(chromium, tmp_path)
    one.media()
    one.resize(1280)
    chromium.get_log("browser")
    yield one
    complaints = chromium.get_log("browser")
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert not complaints


@pytest.fixture
def east_west(made: Callable[..., Results]) -> Results:
    """Two pools, one of which ignores a subPath."""
    same = {"api/a": "pass", "mount/b": "pass", "mount/c": "unsupported"}
    return made({"east": {**same, "subpath/d": "pass"}, "west": {**same, "subpath/d": "fail"}}, evidence="saw /content")


@pytest.fixture
def wide(made: Callable[..., Results]) -> Results:
    """As large as it gets: 130 claims in ten pools, with long words everywhere."""
    verdicts = ["pass", "fail", "unsupported", "error", "skipped-by-request", "pass", "pass"]
    claims = [f"topic-{'abcdefghijkl'[n % 12]}/claim-{n:03}-with-a-name-that-goes-on" for n in range(130)]
    long = "sha256:" + "0123456789abcdef" * 40
    return made(
        {pool: {id_: verdicts[(n + m) % 7] for m, id_ in enumerate(claims)} for n, pool in enumerate(POOLS)},
        evidence=f"saw {long}\n" * 2,
        nodes={pool: {"node_image": f"AKSAzureLinux-V3gen2-{long[:60]}"} for pool in POOLS},
    )


def test_a_click_on_a_verdict_shows_its_evidence_and_another_hides_it(opened: Page, east_west: Results) -> None:
    opened.open(east_west)
    assert not opened.sees("#subpath\\/d .evidence pre")
    button = opened.one("#subpath\\/d td[data-pool=west] button")
    assert button.get_attribute("aria-expanded") == "false"
    button.click()
    opened.until("return arguments[0].ariaExpanded === 'true'", button)
    told = opened.one("#subpath\\/d .evidence").text
    assert "fail: saw /content" in told
    assert "pass: saw /content" in told
    assert opened.shown == ["api/a", "mount/b", "mount/c", "subpath/d"]
    button.click()
    opened.until("return arguments[0].ariaExpanded === 'false'", button)
    assert not opened.sees("#subpath\\/d .evidence pre")


def test_the_keyboard_does_what_the_mouse_does(opened: Page, east_west: Results) -> None:
    opened.open(east_west)
    button = opened.one("#mount\\/b td[data-pool=east] button")
    button.send_keys("\ue007")  # Enter
    opened.until("return arguments[0].ariaExpanded === 'true'", button)
    summary = opened.one("#mount\\/b details summary")
    summary.send_keys("\ue007")
    opened.until("return arguments[0].ariaExpanded === 'false' && document.activeElement === arguments[0]", button)


def test_filters_narrow_the_claims_and_stay_in_the_address(opened: Page, east_west: Results) -> None:
    opened.open(east_west)
    opened.choose("verdict", "not-passed")
    assert opened.shown == ["mount/c", "subpath/d"]
    assert opened.one("output").text == "2 of 4 claims"
    opened.choose("verdict", "differs")
    assert opened.shown == ["subpath/d"]
    opened.choose("verdict", "fail")
    opened.choose("pool", "east")
    assert opened.shown == []
    opened.choose("pool", "west")
    assert opened.shown == ["subpath/d"]
    assert not opened.sees("th[data-column=east]")
    address = opened.driver.current_url
    assert address.endswith("#verdict=fail&pool=west")
    opened.go("#" + address.partition("#")[2])
    assert opened.shown == ["subpath/d"]
    opened.one("button[type=reset]").click()
    opened.until("return document.querySelector('output').value === '4 of 4 claims'")
    assert "#" not in opened.driver.current_url
    opened.one("input[name=text]").send_keys("MOUNT says")
    assert opened.shown == ["mount/b", "mount/c"]
    assert opened.run("return [...document.querySelectorAll('.topic')].filter(one => !one.hidden).length") == 1


def test_a_link_leads_to_a_claim_with_its_evidence_open(opened: Page, wide: Results) -> None:
    id_ = wide.judged[-1].claim.id
    opened.open(wide, fragment=f"#{id_}")
    body = opened.run("return document.getElementById(arguments[0])", id_)
    seen = "const box = arguments[0].getBoundingClientRect(); return box.top < innerHeight && box.bottom > 0"
    assert opened.run(seen, body)
    assert opened.run("return arguments[0].querySelector('pre').checkVisibility()", body)
    # A claim that is named is there although the filter would hide it, and the filter holds for the others.
    opened.go(f"#text=claim-001&claim={id_}")
    assert opened.shown == sorted([id_, "topic-b/claim-001-with-a-name-that-goes-on"])


@pytest.mark.parametrize(
    "fragment", ["#%", "#nothing/there", "#verdict=what&pool=nowhere&claim=%E0%A4%A", "#=&=", "#__proto__=x"]
)
def test_an_address_that_makes_no_sense_shows_everything(opened: Page, east_west: Results, fragment: str) -> None:
    opened.open(east_west, fragment=fragment)
    assert len(opened.shown) == 4


def test_what_changed_is_on_top_with_both_pieces_of_evidence(opened: Page, made, east_west: Results) -> None:
    before = {"api/a": "pass", "mount/b": "fail", "mount/c": "unsupported", "subpath/d": "pass"}
    baseline = made(
        {"east": before, "west": before},
        nodes={"west": {"node_image": "AKS-1", "kernel": "6.6.0"}},
        evidence="saw less",
        started="2025-12-31T00:00:00Z",
    )
    opened.open(east_west, baseline)
    section = opened.one("#changed")
    assert opened.run("return arguments[0] === document.querySelector('main > section')", section)
    kinds = opened.run("return [...document.querySelectorAll('.change')].map(one => one.dataset.kind)")
    assert kinds == ["regression", "fixed", "fixed"]
    regression = opened.one(".change[data-kind=regression]").text
    assert "subpath/d" in regression
    assert "on west" in regression
    assert "pass: saw less" in regression
    assert "fail: saw /content" in regression
    assert "2025-12-31" in section.text
    rows = [" ".join(row.text.split()) for row in section.find_elements("css selector", "tbody tr")]
    assert rows == ["west node image AKS-1 unsaid", "west kernel 6.6.0 6.6.1"]
    opened.choose("verdict", "changed")
    assert opened.shown == ["mount/b", "subpath/d"]
    opened.one(".change[data-kind=regression] a").click()
    assert opened.sees("#subpath\\/d .evidence pre")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(opened: Page, made, wide: Results, width: int) -> None:
    opened.resize(width)
    one_pool = made({"": {one.claim.id: "fail" for one in wide.judged}}, evidence="x" * 3000)
    for results, baseline in (
        (wide, made({pool: {wide.judged[0].claim.id: "pass"} for pool in POOLS})),
        (one_pool, None),
    ):
        opened.open(results, baseline, fragment=f"#{wide.judged[0].claim.id}")
        assert opened.run("return innerWidth") == width
        assert opened.run("return document.documentElement.scrollWidth") <= width


def test_on_a_phone_a_verdict_says_its_pool(opened: Page, east_west: Results) -> None:
    opened.resize(390)
    opened.open(east_west)
    assert not opened.sees("#claims thead")
    label = "return getComputedStyle(document.querySelector('#api\\\\/a td[data-pool=west]'), '::before').content"
    assert "west" in opened.run(label)
    button = opened.one("#api\\/a td[data-pool=west] button")
    button.click()
    opened.until("return arguments[0].ariaExpanded === 'true'", button)
    assert opened.sees("#api\\/a .evidence pre")


def test_nothing_is_asked_of_the_network(opened: Page, made) -> None:
    opened.driver.get("about:blank")
    opened.driver.get_log("performance")
    opened.open(made({"east": {"mount/a": "fail"}}, evidence=HOSTILE), fragment="#mount/a")
    opened.one("#mount\\/a button").click()
    messages = [json.loads(entry["message"])["message"] for entry in opened.driver.get_log("performance")]
    asked = {one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"}
    assert asked == {opened.path.as_uri()}
    assert opened.run("return performance.getEntriesByType('resource').length") == 0


def test_hostile_text_stays_text(opened: Page, made) -> None:
    judged = made({HOSTILE: {"mount/a": "fail"}}, evidence=HOSTILE, nodes={HOSTILE: {"node_image": HOSTILE}})
    one = judged.judged[0]
    results = Results(
        Provenance(HOSTILE, 1.0, HOSTILE, {HOSTILE: HOSTILE}),
        dataclasses.replace(judged.target, target=HOSTILE, kubernetes=HOSTILE, emulator=HOSTILE),
        (dataclasses.replace(one, claim=dataclasses.replace(one.claim, says=HOSTILE, source=HOSTILE)),),
    )
    opened.open(results, made({HOSTILE: {"mount/a": "pass"}}, evidence=HOSTILE), fragment="#mount/a")
    assert opened.run("return window.hacked ?? null") is None
    assert opened.run("return document.scripts.length") == 2
    assert opened.run("return document.images.length") == 0
    assert opened.run("return document.querySelector('.evidence pre').textContent") == f"fail: {HOSTILE}"
    embedded = json.loads(opened.run("return document.getElementById('results').textContent"))
    assert embedded == json.loads(json.dumps(results.to_json()))
    opened.one("input[name=text]").send_keys("window.hacked=1")
    assert opened.shown == ["mount/a"]


def test_without_javascript_it_can_be_read(opened: Page, east_west: Results) -> None:
    opened.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        opened.open(east_west, fragment="#subpath/d")
        assert not opened.sees("#filter")
        assert len(opened.shown) == 4
        summary = opened.one("#subpath\\/d details summary")
        assert summary.is_displayed()
        summary.click()
        assert "fail: saw /content" in opened.one("#subpath\\/d details").text
    finally:
        opened.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_in_print_the_evidence_of_what_failed_is_open(opened: Page, east_west: Results) -> None:
    opened.open(east_west)
    opened.media("print")
    assert opened.sees("#subpath\\/d .evidence pre")
    assert not opened.sees("#api\\/a .evidence pre")
    assert not opened.sees("#filter")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(opened: Page, wide: Results, made, scheme: str) -> None:
    opened.media(scheme=scheme)
    opened.open(
        wide, made({pool: {wide.judged[0].claim.id: "pass"} for pool in POOLS}), fragment=f"#{wide.judged[0].claim.id}"
    )
    colours = opened.run(
        """
        const paper = (element) => {
          for (let one = element; one; one = one.parentElement) {
            const colour = getComputedStyle(one).backgroundColor;
            if (colour !== "rgba(0, 0, 0, 0)") return colour;
          }
          return "none";
        };
        const kinds = ".verdict, .says, .faint, .unsaid, a, pre, th, label, output, button, summary, h1, select, input";
        const seen = {};
        for (const one of document.querySelectorAll(kinds)) {
          seen[getComputedStyle(one).color + " on " + paper(one)] = one.className || one.tagName;
        }
        return seen;
        """
    )
    assert len(colours) > 8
    too_faint = {name: pair for pair, name in colours.items() if contrast(*re.findall(r"rgb\([^)]*\)", pair)) < 4.5}
    assert not too_faint


def contrast(ink: str, paper: str) -> float:
    """The contrast ratio of two colours as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(ink), luminance(paper)))
    return (high + 0.05) / (low + 0.05)


def test_every_verdict_is_a_word_and_every_control_has_a_name(opened: Page, wide: Results) -> None:
    opened.open(wide)
    words = opened.run(
        "return [...new Set([...document.querySelectorAll('.verdict')].map(one => one.innerText.trim()))]"
    )
    assert all(re.search(r"pass|fail|error|unsupported|skipped", word) for word in words)
    nodes = opened.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    controls = [one for one in nodes if one.get("role", {}).get("value") in {"button", "combobox", "searchbox", "link"}]
    assert len(controls) > 1300
    assert not [one for one in controls if not one["name"].get("value")]
    headers = opened.run("return [...document.querySelectorAll('th')].filter(one => !one.scope).length")
    assert headers == 0
