"""A field to choose from what comes and goes while somebody chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments, ValueChangeEventArguments

from services.dashboard.rest import RefusedError


class Choice(ui.select):
    """What is chosen stays: where it is not offered any more nothing is, until it is back or the user chooses anew.

    Parameters
    ----------
    label : str
    options : dict, optional
        Words by key.
    chosen : str, optional
        Key of what shall be chosen as soon as it is offered.
    on_change : callable, optional

    Attributes
    ----------
    chosen : str or None
        Key of what was chosen last, offered now or not; None before.
    by_user : bool
        Whether the user has chosen.
    """

    def __init__(
        self,
        label: str,
        options: dict[str, str] | None = None,
        chosen: str | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self.chosen, self.by_user = chosen, False
        offered = options or {}
        super().__init__(offered, label=label, value=chosen if chosen in offered else None)
        self.props("dense outlined options-dense")
        self.on_value_change(self._keep)
        if on_change is not None:
            self.on_value_change(on_change)

    def offer(self, options: dict[str, str], usual: str | None = None) -> None:
        """Offer these; `usual` is chosen where nothing has been."""
        if options != self.options:
            self.set_options(options, value=self.chosen if self.chosen in options else None)
        if self.chosen is None and usual in options:
            self.set_value(usual)

    def required(self) -> str:
        """The key of what is chosen.

        Raises
        ------
        RefusedError
            If nothing is, or nothing any more.
        """
        if self.value is None:
            gone = "" if self.chosen is None else "what was chosen is not there any more; "
            raise RefusedError(f"{self.props['label']}: {gone}choose one")
        return str(self.value)

    def _keep(self, event: ValueChangeEventArguments[Any]) -> None:
        if event.value is not None:
            self.chosen = event.value

    # NiceGUI tells the browser the place of each option, and chooses by it; where the options change while an answer
    # is on its way, the place is another's. Here it is the key that goes both ways.

    def _update_options(self) -> None:
        super()._update_options()
        self._props["options"] = [
            {"value": key, "label": words} for key, words in zip(self._values, self._labels, strict=True)
        ]

    def _value_to_model_value(self, value: Any) -> Any:
        return {"value": value, "label": self.options[value]} if value in self.options else None

    def _event_args_to_value(self, e: GenericEventArguments) -> Any:
        self.by_user, self.chosen = True, e.args["value"]
        return self.chosen if self.chosen in self.options else None
