"""Starts and stops the recording of a session, and shows how long and how large it is."""

from __future__ import annotations

from nicegui import ui

from bmi_decoder.recorder_models import RecorderStatus
from services.dashboard.rest import RefusedError, Rest, session_path
from services.dashboard.site import button, show_refusal
from services.dashboard.words import bytes_size


class RecordingControl:
    """A button and what the recorder says of itself.

    Parameters
    ----------
    rest : Rest
    name : str
        Of the session.
    """

    def __init__(self, rest: Rest, name: str) -> None:
        self._rest, self._path = rest, f"{session_path(name)}/recordings"
        self._records = self._busy = False
        self._truth: str | None = None
        with ui.element("div").classes("controls").props('role="group" aria-label="Recording"'):
            self._button = button("Record", self._toggle)
            self._said = ui.label("not recording").classes("quiet recorded").props('role="status"')

    def update(self, status: RecorderStatus | None, truth: str | None) -> None:
        """Show what the recorder says; `truth` is the stream of the true movement, if there is one."""
        self._truth = truth
        self._records = status is not None and status.state == "recording"
        word, said = ("Stop recording" if self._records else "Record"), _words(status)
        if self._button.text != word:
            self._button.set_text(word)
        if self._said.text != said:
            self._said.set_text(said)

    async def _toggle(self) -> None:
        if self._busy:
            return
        self._busy = True
        self._button.disable()
        try:
            if self._records:
                done = await self._rest.post(f"{self._path}/stop")
                ui.notify(f"Stored as recording {done['recording']['id']}", type="positive", position="top")
            else:
                await self._rest.post(self._path, {"kinematics": self._truth} if self._truth else {})
        except RefusedError as error:
            show_refusal(error)
        finally:
            self._busy = False
            self._button.enable()


def _words(status: RecorderStatus | None) -> str:
    """What a recorder does."""
    if status is None:
        return "not recording"
    if status.message:
        return status.message
    if status.state == "armed":
        return "armed: what comes is kept in memory"
    minutes, seconds = divmod(int(status.elapsed_s), 60)
    done = "recording" if status.state == "recording" else "recorded"
    waiting = f", waiting for {', '.join(status.waiting_for)}" if status.waiting_for else ""
    return f"{done} {minutes}:{seconds:02d}, {bytes_size(status.size_bytes)}{waiting}"
