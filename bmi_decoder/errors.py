"""Errors that reach a user: one sentence that says what is wrong, where, and what to do."""

_BEGINNING, _END = 1400, 400
"""Characters that are shown of a message that is longer: what to do stands at its end."""


class BmiError(Exception):
    """Something failed that the user can understand and mend. The command line exits with status 1.

    It is one line that can be read: names in a file may hold line ends and other control characters, which are shown as
    escapes, and may be of any length.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if not text.isprintable():
            text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
        return text if len(text) <= _BEGINNING + _END else f"{text[:_BEGINNING]} [...] {text[-_END:]}"


class InputError(BmiError, ValueError):
    """What the user gave (a file, a setting, a stream) cannot be used. The command line exits with status 2."""


class BundleError(InputError):
    """A bundle that cannot be trusted or understood."""


class ProgramError(BundleError):
    """A streaming-machine program that is not proven safe to run."""


class StreamMismatchError(InputError):
    """A live stream that is not what the session expects."""
