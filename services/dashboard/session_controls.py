"""What can be done with a session: start, stop, swap its decoder, roll back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from nicegui import ui

from bmi_decoder.rest_models import SessionStatus
from services.control.storage.tables import DecoderRow
from services.dashboard.choice import Choice
from services.dashboard.fit import decoder_label
from services.dashboard.rest import RefusedError, Rest, session_path
from services.dashboard.site import button, show_refusal

_AT_REST = ("stopped", "failed")


class SessionControls:
    """The buttons of a session page.

    Parameters
    ----------
    rest : Rest
    name : str
    """

    def __init__(self, rest: Rest, name: str) -> None:
        self._rest, self._path, self._name = rest, session_path(name), name
        self._busy = False
        self._status: SessionStatus | None = None
        with ui.element("div").classes("controls").props('role="group" aria-label="Session controls"'):
            self._start = button("Start", lambda: self._run("start", "Started"), primary=True)
            self._stop = button("Stop", lambda: self._run("stop", "Stopped"))
            self._decoder = Choice("Decoder").classes("decoder")
            self._swap = button("Swap decoder", self._swap_decoder)
            self._rollback = button("Roll back", lambda: self._run("rollback", "Rolled back"))
        self._options: dict[str, str] = {}
        for control in (self._start, self._stop, self._swap, self._rollback):
            control.disable()

    def update(self, status: SessionStatus, decoders: Sequence[DecoderRow]) -> None:
        """Offer what is possible now."""
        former, self._status = self._status, status
        options = {row.id: decoder_label(row) for row in decoders if _could_replace(row, status, decoders)}
        current = former is None or former.decoder != status.decoder
        if options != self._options or current:
            self._options = options
            value = self._decoder.value if self._decoder.value in options and not current else status.decoder
            self._decoder.set_options(options, value=value)
        at_rest = status.state in _AT_REST
        self._allow(self._start, at_rest)
        self._allow(self._stop, not at_rest)
        self._allow(self._swap, self._decoder.value != status.decoder and status.swapping_to is None)
        self._allow(self._rollback, status.revision > 1 and status.swapping_to is None)

    def _allow(self, control: ui.button, allowed: bool) -> None:
        control.set_enabled(allowed and not self._busy)

    async def _run(self, verb: str, done: str) -> None:
        await self._act(lambda: self._rest.post(f"{self._path}/{verb}"), f"{done}: {self._name}")

    async def _swap_decoder(self) -> None:
        chosen = self._decoder.value
        await self._act(lambda: self._rest.patch(self._path, {"decoder": chosen}), "Decoder swapped")

    async def _act(self, act: Callable[[], Awaitable[object]], done: str) -> None:
        self._busy = True
        for control in (self._start, self._stop, self._swap, self._rollback):
            control.disable()
        try:
            await act()
        except RefusedError as error:
            show_refusal(error)
        else:
            ui.notify(done, type="positive", position="top", timeout=2000)
        finally:
            self._busy = False


def _could_replace(row: DecoderRow, status: SessionStatus, decoders: Sequence[DecoderRow]) -> bool:
    """Whether a decoder has the channels and bins of the one in use; the others would be refused."""
    used = next((other for other in decoders if other.id == status.decoder), None)
    if used is None or row.id == used.id:
        return True
    same_bins = abs(float(row.manifest["bin_s"]) / float(used.manifest["bin_s"]) - 1) < 1e-6
    return same_bins and row.manifest["n_channels"] == used.manifest["n_channels"]
