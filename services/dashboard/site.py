"""What the pages share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import isawaitable

from fastapi import FastAPI, Request
from nicegui import ui

from services.control.settings import ControlSettings
from services.dashboard import PATH
from services.dashboard.login import COOKIE
from services.dashboard.rest import RefusedError, Rest
from services.dashboard.socket import LiveSessions
from services.dashboard.streams import StreamWatch

_THEMES = {"auto": None, "light": False, "dark": True}
_THEME_COOKIE = "bmi_theme"
_PAGES = {"Overview": f"{PATH}/", "Calibrate": f"{PATH}/calibrate"}


@dataclass(frozen=True)
class Site:
    """The control plane that is shown, and what is known of it."""

    control_app: FastAPI
    settings: ControlSettings
    lives: LiveSessions
    watch: StreamWatch

    def rest(self, request: Request) -> Rest:
        """REST with the rights of the page's user."""
        return Rest(self.control_app, request.cookies.get(COOKIE))


@contextmanager
def page_frame(request: Request, title: str) -> Iterator[None]:
    """Head and header of a page; its content is what is built inside the ``with`` block."""
    ui.page_title(f"{title} - bmi-decoder")
    ui.add_head_html(f'<link rel="stylesheet" href="{PATH}/static/dashboard.css">')
    chosen = request.cookies.get(_THEME_COOKIE, "auto")
    dark = ui.dark_mode(_THEMES.get(chosen))
    with ui.element("header").classes("top"):
        ui.html('<a href="#content">Skip to content</a>', sanitize=False).classes("skip")
        with ui.element("nav").props('aria-label="Pages"'):
            link("bmi-decoder", f"{PATH}/").classes("brand")
            for name, path in _PAGES.items():
                if title == name:
                    ui.label(name).props('aria-current="page"').classes("here")
                else:
                    link(name, path)
            if title not in _PAGES:
                ui.label(title).props('aria-current="page"').classes("here")
        with ui.element("div").classes("tools"):
            link("REST", "/docs")

            def choose(theme: str) -> None:
                dark.set_value(_THEMES[theme])
                ui.run_javascript(
                    f"document.cookie='{_THEME_COOKIE}={theme};path={PATH};max-age=31536000;samesite=strict'"
                )

            ui.select(
                {"auto": "System", "light": "Light", "dark": "Dark"},
                value=chosen if chosen in _THEMES else "auto",
                label="Colours",
                on_change=lambda event: choose(event.value),
            ).props("dense outlined options-dense").classes("theme")
    with ui.element("main").props('id="content" tabindex="-1"'):
        yield


def section(title: str, about: str, classes: str = "") -> ui.element:
    """A panel with a heading; its content is what is built inside the ``with`` block."""
    panel = ui.element("section").classes(f"panel {classes}").props(f'aria-label="{title}"')
    with panel:
        ui.html(f"<h2>{title}</h2><p>{about}</p>", sanitize=False).classes("heading")
    return panel


def link(words: str, path: str) -> ui.element:
    """A link to a path of this server; NiceGUI's own begin where it is mounted."""
    anchor = ui.element("a")
    anchor.props["href"] = path
    with anchor:
        ui.label(words)
    return anchor


def button(word: str, act: Callable[[], object], primary: bool = False, label: str = "") -> ui.button:
    """A button; `label` says what it acts on, where the word alone does not.

    What it does may be awaited. As long as that lasts, with a dialog open for example, another press does nothing.
    """
    at_work = False

    async def press() -> None:
        nonlocal at_work
        if at_work:
            return
        at_work = True
        try:
            done = act()
            if isawaitable(done):
                await done
        finally:
            at_work = False

    made = ui.button(word, on_click=press, color=None).props("unelevated no-caps dense")
    if label:
        made.props["aria-label"] = label
    return made.classes("button primary" if primary else "button")


def show_refusal(error: RefusedError) -> None:
    """Show what REST has answered, until it is closed."""
    ui.notify(str(error), type="negative", position="top", timeout=0, close_button="Close", multi_line=True)


async def confirmed(question: str, verb: str) -> bool:
    """Ask before something that cannot be undone."""
    with ui.dialog() as dialog, ui.element("div").classes("ask"):
        ui.label(question)
        with ui.element("div").classes("pair"):
            button(verb, lambda: dialog.submit(True), primary=True)
            button("Cancel", lambda: dialog.submit(False)).props("autofocus")
    answer = await dialog
    dialog.delete()
    return bool(answer)
