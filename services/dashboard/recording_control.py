"""Starts and stops the recording of a session, and shows how long and how large it is."""

from __future__ import annotations

import time
from math import inf
from typing import Any

from nicegui import ui

from bmi_decoder.recorder_models import RecorderStatus
from services.dashboard.rest import RefusedError, Rest, session_path
from services.dashboard.site import button, show_refusal
from services.dashboard.words import bytes_size

_KEPT_S, _SEEN_S = 60.0, 2.0


class RecordingControl:
    """Record, what came before that as well if it is kept, and what the recorder says of itself.

    Parameters
    ----------
    rest : Rest
    name : str
        Of the session.
    """

    def __init__(self, rest: Rest, name: str) -> None:
        self._rest, self._path = rest, f"{session_path(name)}/recordings"
        self._state = ""
        self._busy = False
        self._answered_at = -inf
        self._truth: str | None = None
        with ui.element("div").classes("controls").props('role="group" aria-label="Recording"'):
            self._keep = ui.checkbox(f"Keep the last {_KEPT_S:g} s", on_change=lambda event: self._arm(event.value))
            self._keep.props("dense")
            self._button = button("Record", self._toggle)
            self._said = ui.label("not recording").classes("quiet recorded").props('role="status"')

    def update(self, status: RecorderStatus | None, truth: str | None) -> None:
        """Show what the recorder says; `truth` is the stream of the true movement, if there is one."""
        self._truth = truth
        state = "" if status is None else status.state
        if self._busy or (state != self._state and time.monotonic() < self._answered_at + _SEEN_S):
            return
        self._state = state
        self._show()
        word, said = ("Stop recording" if self._state == "recording" else "Record"), _words(status)
        if self._button.text != word:
            self._button.set_text(word)
        if self._said.text != said:
            self._said.set_text(said)

    def _show(self) -> None:
        """What is possible now; the box says what is, also where another page has changed it."""
        armed = self._state == "armed"
        if not self._busy:
            self._keep.set_value(armed)
        self._keep.set_enabled(not self._busy and self._state != "recording")
        self._button.set_enabled(not self._busy)

    async def _toggle(self) -> None:
        if self._state == "recording":
            done = await self._act(f"{self._path}/stop")
            if done is not None:
                ui.notify(f"Stored as recording {done['recording']['id']}", type="positive", position="top")
        else:
            await self._act(self._path, self._how())

    async def _arm(self, wanted: bool) -> None:
        if wanted == (self._state == "armed"):
            return
        if wanted:
            await self._act(self._path, self._how() | {"armed": True, "pretrigger_s": _KEPT_S})
        else:
            await self._act(f"{self._path}/disarm")

    def _how(self) -> dict[str, Any]:
        return {"kinematics": self._truth} if self._truth else {}

    async def _act(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask REST, one thing at a time; None if it has refused."""
        if self._busy:
            return None
        self._busy = True
        self._show()
        try:
            answer = await self._rest.post(path, body)
            # What is known of the recorder may be older than this.
            self._state, self._answered_at = ("" if body is None else answer["state"]), time.monotonic()
            return answer
        except RefusedError as error:
            show_refusal(error)
            return None
        finally:
            self._busy = False
            self._show()


def _words(status: RecorderStatus | None) -> str:
    """What a recorder does."""
    if status is None:
        return "not recording"
    if status.message:
        return status.message
    if status.state == "armed":
        return f"{status.before_s:.0f} s kept"
    minutes, seconds = divmod(int(status.elapsed_s), 60)
    done = "recording" if status.state == "recording" else "recorded"
    before = f" and {status.before_s:.0f} s before" if status.before_s >= 1 else ""
    waiting = f", waiting for {', '.join(status.waiting_for)}" if status.waiting_for else ""
    return f"{done} {minutes}:{seconds:02d}{before}, {bytes_size(status.size_bytes)}{waiting}"
