"""The dashboard in a real Chromium.

With ``BMI_PICTURES`` set to a folder, the pictures of the documentation are written there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from services.demo.bundle import LIVE_SEED, SUBJECT, demo_bundle
from tests.control.support import write_linear_bundle
from tests.system.conftest import Control, Spawn
from tests.system.support import eventually

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PICTURES = os.environ.get("BMI_PICTURES")
WAIT_MS = 20_000
expect.set_options(timeout=WAIT_MS)

# Accessible name of what can be reached with the keyboard, as far as a test needs it.
NAME = """element => element.getAttribute('aria-label') || element.labels?.[0]?.innerText
    || document.getElementById(element.getAttribute('aria-labelledby'))?.innerText || element.innerText || ''"""
UNNAMED = f"""() => [...document.querySelectorAll('button, a, input, select, [role=img], [role=log]')]
    .filter(element => element.offsetParent && !({NAME})(element).trim()).map(element => element.outerHTML)"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


class Watched:
    """A page, and whatever went wrong on it."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.page: Page = browser.new_page(viewport={"width": 1280, "height": 900}, base_url=url, **options)
        self.page.set_default_timeout(WAIT_MS)
        self.hosts: set[str | None] = set()
        self.faults: list[str] = []
        self.page.on("request", lambda request: self._note(request.url))
        self.page.on("websocket", lambda socket: self._note(socket.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)

    def _note(self, url: str) -> None:
        if not url.startswith(("data:", "blob:")):
            self.hosts.add(urlsplit(url).hostname)

    def close(self) -> None:
        assert self.hosts == {"127.0.0.1"}
        assert self.faults == []
        self.page.close()


@pytest.fixture
def watched(browser: Browser, control: Control) -> Iterator[Watched]:
    watched = Watched(browser, str(control.client._http.base_url))
    yield watched
    watched.close()


def test_from_stream_to_cursor_to_swap_to_stop(
    watched: Watched, control: Control, spawn: Spawn, stream_name: str, linear_bundle: Path, tmp_path: Path
) -> None:
    page, client = watched.page, control.client
    stream = "M1-array" if PICTURES else stream_name
    spawn("rig", "simulated", "--stream", stream, "--subject", str(SUBJECT), "--seed", str(LIVE_SEED), "--no-wait")
    other = client.upload_decoder(write_linear_bundle(tmp_path / "other.bmi", gain=0.002, n_channels=96))
    unfit, best = client.upload_decoder(linear_bundle), client.upload_decoder(demo_bundle())

    page.goto("/")
    assert page.url.endswith("/dashboard/")
    row = page.get_by_role("row").filter(has=page.get_by_text(stream, exact=True)).first
    expect(row).to_contain_text("250 Hz")
    expect(row).to_contain_text("visible")
    row.get_by_text("not fit: why?").click()
    expect(row).to_contain_text(f"has 96 channels, the decoder was trained on {unfit.n_channels}")
    row.get_by_text("not fit: why?").click()
    choose(page, row, best.id)
    page.get_by_role("button", name=f"Decode {stream}", exact=True).click()
    page.wait_for_url(f"**/dashboard/sessions/{stream}")

    state = page.locator("#state")
    expect(state).to_have_text("running")
    cursor = page.locator("#cursor")
    first = eventually(lambda: cursor.get_attribute("data-x"), bool)
    eventually(lambda: cursor.get_attribute("data-x"), lambda x: x != first)
    eventually(lambda: int(page.locator("#activity").get_attribute("data-columns") or 0), lambda n: n >= 10)
    eventually(lambda: float(page.locator("#histogram").get_attribute("data-p99") or 0), lambda p99: p99 > 0)
    expect(page.locator("#legend")).to_contain_text("true")
    expect(page.locator("#events")).to_contain_text("running, revision 1")
    check_looks(page)
    check_keyboard(page)

    recording = page.get_by_role("group", name="Recording")
    recording.get_by_role("button", name="Record").click()
    expect(recording.get_by_role("status")).to_contain_text("recording 0:0")
    recording.get_by_role("button", name="Stop recording").click()
    expect(page.get_by_text("Stored as recording")).to_be_visible()
    assert client.recordings()[-1].file_name.endswith(".xdf")

    head = page.get_by_role("group", name="Session controls")
    choose(page, head, other.id)
    head.get_by_role("button", name="Swap decoder").click()
    expect(page.locator("#f-revision")).to_have_text("2")
    assert client.session(stream).decoder == other.id
    head.get_by_role("button", name="Roll back").click()
    expect(page.locator("#f-revision")).to_have_text("1")
    expect(page.locator("#events")).to_contain_text("rolled back")
    head.get_by_role("button", name="Stop").click()
    expect(state).to_have_text("stopped")
    assert client.session(stream).state == "stopped"

    page.get_by_role("link", name="Overview").click()
    page.get_by_role("button", name=f"Delete {stream}", exact=True).click()
    page.get_by_role("button", name="Delete", exact=True).click()
    eventually(lambda: [status.name for status in client.sessions()], lambda names: stream not in names)


def choose(page: Page, where: Locator, decoder: str) -> None:
    """Choose a decoder with the keyboard alone."""
    box = where.get_by_role("combobox", name="Decoder")
    box.focus()
    box.press("Enter")
    option = page.get_by_role("option").filter(has_text=decoder[:8])
    expect(option).to_be_visible()
    focused = page.locator("[role=option].q-manual-focusable--focused")
    for _ in range(50):
        if focused.count() and focused.inner_text() == option.inner_text():
            break
        box.press("ArrowDown")
    box.press("Enter")
    expect(option).to_be_hidden()
    expect(where).to_contain_text(decoder[:8])


def check_looks(page: Page) -> None:
    """Nothing is without a name or beyond the screen, in light and dark."""
    if PICTURES:
        page.wait_for_timeout(12_000)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        ground = "rgb(243, 245, 248)" if scheme == "light" else "rgb(15, 20, 28)"
        expect(page.locator("body")).to_have_css("background-color", ground)
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert page.evaluate(UNNAMED) == []
        picture(page, f"dashboard-{scheme}.png")
    page.emulate_media(color_scheme="light")


def check_keyboard(page: Page) -> None:
    """The tabulator reaches every control that can be used now."""
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(str(page.evaluate(f"() => ({NAME})(document.activeElement)")).strip())
    for wanted in ("Skip to content", "Overview", "REST", "Colours", "Stop", "Decoder", "Estimate", "Newest events"):
        assert any(name.startswith(wanted) for name in reached), (wanted, reached)


def picture(page: Page, name: str) -> None:
    """Keep what the page shows, if that is wanted."""
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / name, full_page=True)
