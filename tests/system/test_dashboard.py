"""The dashboard in a real Chromium.

With ``BMI_PICTURES`` set to a folder, the pictures of the documentation are written there.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks import browser_walk as walk
from bmi_decoder.bundle import read_bundle
from bmi_decoder.errors import InputError
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.wire import Variant
from services.demo.bundle import LIVE_SEED, SUBJECT, demo_bundle
from tests.control.support import write_linear_bundle
from tests.formats.recorded import write_recorded_session
from tests.system.conftest import Control, Spawn, serve
from tests.waiting import DEADLINE_S, eventually

PICTURES = os.environ.get("BMI_PICTURES")
needs_training = pytest.mark.skipif(find_spec("torch") is None, reason="needs the training extra")
WAIT_MS = 20_000
expect.set_options(timeout=WAIT_MS)

# Accessible name of what can be reached with the keyboard, as far as a test needs it.
NAME = """element => element.getAttribute('aria-label') || element.labels?.[0]?.innerText
    || document.getElementById(element.getAttribute('aria-labelledby'))?.innerText || element.innerText || ''"""
UNNAMED = f"""() => [...document.querySelectorAll('button, a, input, select, [role=img], [role=log]')]
    .filter(element => element.offsetParent && !({NAME})(element).trim()).map(element => element.outerHTML)"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    try:
        walk.chromium()
    except InputError as error:
        pytest.skip(str(error))
    with walk.browser() as browser:
        yield browser


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


def test_from_stream_to_cursor_to_swap_to_rollback(
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
    walk.choose(page, row, "Decoder", best.id[:8])
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
    if PICTURES:
        page.wait_for_timeout(12_000)
    check_looks(page, "dashboard")
    beside = ("Keep the last", "Record", "Mask channels", "Calibrate a decoder")
    check_keyboard(page, "Stop", "Decoder", *beside, "Estimate", "Newest events")

    keep_before(page)
    walk.record(page)
    expect(page.get_by_role("group", name="Recording").get_by_role("status")).to_contain_text("s before")
    head = page.get_by_role("group", name="Session controls")
    walk.choose(page, head, "Decoder", other.id[:8])
    head.get_by_role("button", name="Swap decoder").click()
    expect(page.locator("#f-revision")).to_have_text("2")
    assert client.session(stream).decoder == other.id
    head.get_by_role("button", name="Roll back").click()
    expect(page.locator("#f-revision")).to_have_text("1")
    expect(page.locator("#events")).to_contain_text("rolled back")
    mask(page, "3, 93-95", "3, 93-96")
    expect(page.locator("#activity-note")).to_contain_text("masked: 3, 93, 94, 95")
    # The figure is of the decoder that decodes now.
    expect(page.locator("#f-r2-about")).to_have_text("collecting")
    walk.stop_recording(page)
    assert client.recordings()[-1].file_name.endswith(".xdf")
    walk.stop(page)
    assert client.session(stream).state == "stopped"

    page.get_by_role("link", name="Overview").click()
    page.get_by_role("button", name=f"Delete {stream}", exact=True).click()
    page.get_by_role("button", name="Delete", exact=True).click()
    eventually(lambda: [status.name for status in client.sessions()], lambda names: stream not in names)


@needs_training
def test_calibrated_from_an_empty_directory_and_decoding(
    browser: Browser, spawn: Spawn, stream_name: str, tmp_path: Path
) -> None:
    control = serve(spawn("serve", "--port", "0", "--data-dir", tmp_path / "data"), tmp_path / "data")
    stream = "M1-array" if PICTURES else stream_name
    spawn("rig", "simulated", "--stream", stream, "--subject", str(SUBJECT), "--no-wait")
    with contextlib.ExitStack() as ending:
        ending.callback(control.end)
        watched = ending.enter_context(closing(Watched(browser, control.url)))
        client, page = control.client, watched.page
        walk.find_stream(page, stream).get_by_role("link", name="Calibrate").click()
        check_looks(page, "calibrate")
        chosen = ("Neural stream", "Kinematics stream", "Seconds", "Decoder", "Preset", "Filter", "Compare with")
        check_keyboard(page, "Two live streams", *chosen, "Collect and train")
        page.get_by_label("Seconds to collect").fill("600")
        page.get_by_role("button", name="Collect and train").click()
        page.wait_for_url("**/jobs/*")
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#job-message")).to_have_text("Cancelled; nothing was kept.")
        assert client.recordings() == client.decoders() == [] and not list((control.data_dir / "jobs").iterdir())

        walk.find_stream(page, stream).get_by_role("link", name="Calibrate").click()
        usable, r2 = walk.calibrate(page, "kalman", 60 if PICTURES else 8, 3 * DEADLINE_S)
        job = client.jobs()[0]
        assert job.result is not None and usable == job.result["collected"]["usable"] > 1900
        assert r2["validation raw"] == pytest.approx(job.result["metrics"]["validation"]["raw"]["r2"], abs=6e-4)
        check_looks(page, "calibration")
        walk.decode_with_it(page, stream)
        _, about = walk.live_r2(page, DEADLINE_S)
        assert about.startswith("low latency")
        walk.stop(page)


@needs_training
def test_a_recording_is_exported_trained_on_and_deployed(watched: Watched, control: Control, tmp_path: Path) -> None:
    page, client = watched.page, control.client
    bundle = write_linear_bundle(tmp_path / "used.bmi", gain=0.5)
    name = f"recorded-{uuid4().hex[:8]}"
    client.create_session(name, name, client.upload_decoder(bundle).id)
    recorded = client.upload_recording(write_recorded_session(tmp_path, bundle, Pipeline(read_bundle(bundle))))
    page.goto("/")
    walk.export(page, DEADLINE_S, recorded.id)
    assert "nwb" in {recording.format for recording in client.recordings()}
    page.get_by_role("link", name="Train on the recording").click()
    walk.choose(page, page, "Compare with, and deploy to", name)
    r2 = walk.train(page, "kalman", 2 * DEADLINE_S)
    assert set(r2) == {f"{part} {variant.name}" for part in ("validation", "test") for variant in Variant}
    expect(page.get_by_role("columnheader", name=f"In use, {name}")).to_be_visible()
    page.get_by_role("button", name="Deploy").click()
    expect(page.get_by_text(f"Deployed to session {name} as revision 2.")).to_be_visible()
    job = client.jobs()[0]
    assert job.result is not None and client.session(name).decoder == job.result["decoder"]
    client.delete_session(name)


def keep_before(page: Page) -> None:
    """Have what comes kept for a recording, with the keyboard; then not; then again."""
    recording = page.get_by_role("group", name="Recording")
    box, said = recording.get_by_role("checkbox", name="Keep the last 60 s"), recording.get_by_role("status")
    box.press("Space")
    expect(said).to_have_text(re.compile("[1-9] s kept"))
    box.press("Space")
    expect(said).to_have_text("not recording")
    box.press("Space")
    expect(said).to_have_text(re.compile("[1-9] s kept"))
    expect(box).to_be_checked()


def mask(page: Page, channels: str, beyond: str) -> None:
    """Mask channels in the one dialog that two clicks open, after two lists that are none; all of it has a name."""
    page.get_by_role("button", name="Mask channels").dblclick()
    dialog = page.get_by_role("dialog", name="Mask channels")
    field = dialog.get_by_label("Masked channels")
    expect(field).to_be_focused()
    assert page.evaluate(UNNAMED) == []
    for wrong, why in (("3, x", "'x' is not a channel"), (beyond, "masked_channels: ")):
        field.fill(wrong)
        field.press("Enter")
        expect(dialog.get_by_role("alert")).to_contain_text(why)
    field.fill(channels)
    dialog.get_by_role("button", name="Mask", exact=True).press("Enter")
    expect(page.get_by_text(f"Masked: {channels}")).to_be_visible()
    expect(dialog).to_be_hidden()


def check_looks(page: Page, name: str) -> None:
    """Nothing is without a name or beyond the screen, in light and dark."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        ground = "rgb(243, 245, 248)" if scheme == "light" else "rgb(15, 20, 28)"
        expect(page.locator("body")).to_have_css("background-color", ground)
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert page.evaluate(UNNAMED) == []
        picture(page, f"{name}-{scheme}.png")
    page.emulate_media(color_scheme="light")


def check_keyboard(page: Page, *names: str) -> None:
    """The tabulator reaches every control that can be used now."""
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(str(page.evaluate(f"() => ({NAME})(document.activeElement)")).strip())
    for wanted in ("Skip to content", "Overview", "REST", "Colours", *names):
        assert any(name.startswith(wanted) for name in reached), (wanted, reached)


def picture(page: Page, name: str) -> None:
    """Keep what the page shows, if that is wanted."""
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / name, full_page=True)
