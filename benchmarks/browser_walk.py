"""A calibration and what follows, as a user does it on the dashboard in a real browser; each step is a function.

Every step finds what it needs by the names that a screen reader says, and gives the figures that the page shows.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from bmi_decoder.errors import InputError

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str:
    """The browser of this machine.

    Raises
    ------
    InputError
        If there is none.
    """
    for name in _NAMES:
        if (found := shutil.which(name)) is not None:
            return found
    raise InputError("no Chromium on this machine; on Debian: apt install chromium")


@contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield launched
        launched.close()


def choose(page: Page, where: Page | Locator, label: str, text: str) -> None:
    """Choose the option that holds a text, with the keyboard alone."""
    box = where.get_by_role("combobox", name=label, exact=True)
    box.focus()
    box.press("Enter")
    option = page.get_by_role("option").filter(has_text=text).first
    expect(option).to_be_visible()
    focused = page.locator("[role=option].q-manual-focusable--focused")
    for _ in range(50):
        if focused.count() and focused.inner_text() == option.inner_text():
            break
        box.press("ArrowDown")
    box.press("Enter")
    expect(option).to_be_hidden()


def find_stream(page: Page, stream: str) -> Locator:
    """From the first page to the stream's row."""
    page.goto("/")
    row = page.get_by_role("row").filter(has=page.get_by_text(stream, exact=True)).first
    expect(row).to_contain_text("visible")
    return row


def calibrate(page: Page, decoder: str, seconds: float, timeout_s: float) -> tuple[int, dict[str, float]]:
    """Fill in the calibration page, collect and train; gives usable bins, and R² by part and variant."""
    page.get_by_label("Seconds to collect").fill(f"{seconds:g}")
    choose(page, page, "Decoder", decoder)
    page.get_by_role("button", name="Collect and train").click()
    page.wait_for_url("**/jobs/*")
    usable = page.locator("#count-usable")
    expect(usable).not_to_have_text("–", timeout=timeout_s * 1e3)
    seen = usable.inner_text()
    expect(usable).not_to_have_text(seen, timeout=timeout_s * 1e3)
    return _finished(page, timeout_s)


def decode_with_it(page: Page, stream: str) -> None:
    """From a calibration's result to the running session."""
    page.get_by_role("button", name=f"Decode {stream} with it").click()
    page.wait_for_url(f"**/sessions/{stream}")
    expect(page.locator("#state")).to_have_text("running")


def live_r2(page: Page, timeout_s: float) -> tuple[float, str]:
    """R² against the true movement on a session's page, as soon as it is shown, and of what."""
    expect(page.locator("#f-r2")).not_to_have_text("–", timeout=timeout_s * 1e3)
    return float(page.locator("#f-r2").inner_text()), page.locator("#f-r2-about").inner_text()


def record(page: Page) -> None:
    """Begin to record the session."""
    recording = page.get_by_role("group", name="Recording")
    recording.get_by_role("button", name="Record").click()
    expect(recording.get_by_role("status")).to_contain_text("recording 0:0")


def stop_recording(page: Page) -> None:
    """End the recording, and see it stored."""
    page.get_by_role("group", name="Recording").get_by_role("button", name="Stop recording").click()
    expect(page.get_by_text("Stored as recording")).to_be_visible()


def stop(page: Page) -> None:
    """Stop the session."""
    page.get_by_role("group", name="Session controls").get_by_role("button", name="Stop").click()
    expect(page.locator("#state")).to_have_text("stopped")


def export(page: Page, timeout_s: float, recording: str = "") -> None:
    """Export a recorded session as NWB, from the overview: that of this id, or the first that is shown."""
    page.get_by_role("button", name=f"Export {recording}").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Species").fill("Macaca mulatta")
    dialog.get_by_label("Age").fill("P6Y")
    dialog.get_by_role("button", name="Export").click()
    page.wait_for_url("**/jobs/*")
    _await_end(page, timeout_s)
    expect(page.get_by_role("link", name="Download")).to_be_visible()


def train(page: Page, decoder: str, timeout_s: float) -> dict[str, float]:
    """Train on the recording that the calibration page was opened with; gives R² by part and variant."""
    choose(page, page, "Decoder", decoder)
    page.get_by_role("button", name="Train", exact=True).click()
    page.wait_for_url("**/jobs/*")
    return _finished(page, timeout_s)[1]


def _finished(page: Page, timeout_s: float) -> tuple[int, dict[str, float]]:
    _await_end(page, timeout_s)
    rows = page.locator("tr[data-part]")
    expect(rows.first).to_be_visible()
    found = {
        f"{row.get_attribute('data-part')} {row.get_attribute('data-variant')}": float(row.locator(".r2").inner_text())
        for row in rows.all()
    }
    usable = page.locator("#count-usable")
    return int(usable.inner_text().replace(",", "")) if usable.is_visible() else 0, found


def _await_end(page: Page, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    state = page.locator("#job-state")
    while state.inner_text() in ("queued", "running", "") and time.monotonic() < deadline:
        page.wait_for_timeout(200)
    if state.inner_text() != "done":
        raise AssertionError(f"job {state.inner_text()}: {page.locator('#job-message').inner_text()}")
