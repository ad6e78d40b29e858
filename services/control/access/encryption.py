"""What a session needs before its worker publishes encrypted, or does so in the clear where others can hear it."""

from __future__ import annotations

import logging

from bmi_decoder.config import SessionSettings
from services.keys import KeyFolder

_log = logging.getLogger(__name__)


def prepare_keys(keys: KeyFolder, session: SessionSettings) -> None:
    """Have the keys that a session publishes with, and warn of what would surprise.

    Raises
    ------
    OSError
        If there are no keys and none can be made.
    InputError
        If the server's own key is damaged, or open to others.
    """
    about = {"session": session.name}
    if session.encrypted:
        keys.create()
        if not keys.allowed():
            _log.warning(
                "session %s: it publishes encrypted, and no key is allowed: nobody but the service itself can "
                "subscribe. See 'bmi-decoder keys allow'",
                session.name,
                extra=about,
            )
    elif not session.endpoint_is_loopback:
        _log.warning(
            "session %s: it publishes on %s in the clear, as its encryption 'none' wants: whoever reaches it reads it",
            session.name,
            session.endpoint,
            extra=about,
        )
