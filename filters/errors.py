"""What the filters raise."""


class FilterDesignError(ValueError):
    """A filter setting is outside of what can be built; the message says what is allowed."""


class FilterInputError(ValueError):
    """Samples or a saved state do not fit the filter they were given to."""
