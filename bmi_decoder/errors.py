"""Errors that reach a user: one sentence that says what is wrong, where, and what to do."""


class BmiError(Exception):
    """Something failed that the user can understand and mend. The command line exits with status 1."""


class InputError(BmiError, ValueError):
    """What the user gave (a file, a setting, a stream) cannot be used. The command line exits with status 2."""


class BundleError(InputError):
    """A bundle that cannot be trusted or understood."""


class ProgramError(BundleError):
    """A streaming-machine program that is not proven safe to run."""


class StreamMismatchError(InputError):
    """A live stream that is not what the session expects."""
