"""Masks channels of a session, and unmasks them."""

from __future__ import annotations

from nicegui import ui

from bmi_decoder.errors import InputError
from bmi_decoder.rest_models import SessionStatus
from services.dashboard.channel_list import channels_of, channels_text
from services.dashboard.rest import RefusedError, Rest, session_path
from services.dashboard.site import button, show_refusal


class MaskControl:
    """A button, and the dialog behind it.

    Parameters
    ----------
    rest : Rest
    name : str
        Of the session.
    """

    def __init__(self, rest: Rest, name: str) -> None:
        self._rest, self._name = rest, name
        self._button = button("Mask channels", self._open)
        self._button.disable()

    def update(self, status: SessionStatus) -> None:
        """Offer it while nothing is being swapped in."""
        self._button.set_enabled(status.swapping_to is None)

    async def _open(self) -> None:
        # What the page was told last may be older than a swap or a rollback, and the mask would be refused.
        try:
            status = SessionStatus.model_validate(await self._rest.get(session_path(self._name)))
        except RefusedError as error:
            show_refusal(error)
            return
        asked = _MaskDialog(self._rest, self._name, status)
        done = await asked.dialog
        asked.dialog.delete()
        if done:
            ui.notify(done, type="positive", position="top", timeout=2000)


class _MaskDialog:
    """Stays until the mask is set or nothing is wanted; what REST refuses is said in it."""

    def __init__(self, rest: Rest, name: str, status: SessionStatus) -> None:
        self._rest, self._path, self._etag = rest, session_path(name), status.etag
        health, masked = status.channels, status.settings.masked_channels
        bad = [] if health is None else sorted({*health.silent, *health.stuck} - set(masked))
        with ui.dialog().props('aria-label="Mask channels"') as self.dialog, ui.element("div").classes("ask"):
            ui.label(f"Mask channels of {name}").classes("strong")
            ui.label(
                "In place of a masked channel the decoder gets a constant. Channels count from 0; an empty list masks "
                "none. A running session goes over to it between two bins, as in a swap."
            ).classes("quiet")
            self._field = ui.input("Masked channels, such as 3, 17-20", value=channels_text(masked))
            self._field.props("dense outlined autofocus").on("keydown.enter", self._mask)
            if bad:
                self._add(bad)
            self._refusal = ui.label().classes("message bad").props('role="alert"')
            with ui.element("div").classes("pair"):
                self._set = button("Mask", self._mask, primary=True)
                self._cancel = button("Cancel", self.dialog.close)

    def _add(self, bad: list[int]) -> None:
        """Offer what the worker takes for broken."""

        def add() -> None:
            self._field.set_value(", ".join(filter(None, (self._field.value.strip(), channels_text(bad)))))
            offer.disable()

        with ui.element("div").classes("pair"):
            ui.label(f"Silent or stuck: {channels_text(bad)}")
            offer = button("Add", add, label="Add the silent and stuck channels")

    async def _mask(self) -> None:
        if not self._set.enabled:
            return
        self._allow(False)
        self._refusal.set_text("")
        try:
            channels = channels_of(self._field.value or "")
            await self._rest.patch(self._path, {"masked_channels": channels}, if_match=self._etag)
        except (InputError, RefusedError) as error:
            self._refusal.set_text(str(error))
            self._allow(True)
        else:
            self.dialog.submit(f"Masked: {channels_text(channels)}" if channels else "No channel is masked")

    def _allow(self, allowed: bool) -> None:
        """Until REST has answered the dialog stays: a refusal must find it."""
        for control in (self._set, self._cancel):
            control.set_enabled(allowed)
        self.dialog.props(remove="persistent") if allowed else self.dialog.props(add="persistent")
