"""Watches one session's stream: late, lost, jumping, back again; says so once, with figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from bmi_decoder.machine.live.fields import LiveFields
from bmi_decoder.stream_health import StreamState

LATE_S = 0.05
"""Silence, or lag beyond the quickest sample's, from which a stream is late."""

LOST_S = 0.2
"""Silence from which it is lost, whatever its connection looks like."""

LEAST_SAMPLES = 3
"""Silence of fewer sample intervals is neither: slow streams have long ones."""

FIRST_S = 1.0
"""Silence from which a stream is late that has been found, and has not begun: many rigs begin when they are heard."""

SETTLED_S = 1.0
"""How long a disturbance stays in sight when it is over."""

DRIFT = 3e-4
"""Seconds per second by which the quickest sample ages: clocks drift so much, and a queue grows faster."""

FOREIGN_S = 60.0
"""Between stamp and arrival, either way: the stamp is of another clock than LSL's, the calendar's for example."""

_DROPS = 3
"""Samples dropped one after the other, each following the last, from which the clock has jumped back."""

Counts = tuple[int, int, int, int, int]
"""Gaps, lates, losses, clock jumps, mismatches."""


class Board(Protocol):
    """Where the state is shown; `FlightWriter` is one."""

    def set_stream(self, state: StreamState, since: float, lag_s: float, counts: Counts) -> None:
        """Show a state, when it began on the LSL clock, and the lag, NaN if unknown."""

    def set_message(self, message: str) -> None:
        """Show what people must know while all goes on; empty for nothing."""


class StreamMonitor:
    """Knows the state of a stream from its samples' stamps, from their arrival, and from their absence.

    The lag of a sample is its arrival less its stamp, beyond that of the quickest sample of the connection: what a
    rig takes between stamping and sending does not count, and what piles up on the way does.

    Parameters
    ----------
    say : callable
        ``say(event, **details)`` publishes a health event.
    board : Board

    Attributes
    ----------
    arrived : float
        When the sample at hand came, LSL clock; the loop sets it before anything is made of the sample.
    state : str
        A `StreamState`.
    """

    def __init__(self, say: Callable[..., None], board: Board) -> None:
        self._say, self._board = say, board
        self._gaps = self._lates = self._losses = self._jumps = self._mismatches = 0
        self.arrived = self._since = math.nan
        self._sample_s = 0.0
        self._trouble: tuple[StreamState, float] | None = None
        self._drops, self._drop, self._drop_arrived, self._drops_began = 0, math.nan, math.nan, math.nan
        self._placed, self._stampless = math.nan, False
        self._quickest, self._turn, self._said = math.inf, -math.inf, 0.0
        self._eventful = self._foreign = False
        self.state: StreamState = "searching"

    def searching(self, now: float) -> None:
        """The stream is being looked for; one that was lost or refused stays so."""
        if self._trouble is None:
            self._enter("searching", now)

    def mismatch(self, now: float, reason: str) -> None:
        """A stream has come back, and is not what the decoder takes."""
        self._mismatches += 1
        self._worry("mismatch", now)
        self._say("mismatch", reason=reason)

    def connected(self, now: float, sample_s: float, **stream: Any) -> None:
        """A stream was found, and fits; samples of it come every `sample_s` seconds."""
        self._sample_s, self._foreign = sample_s, False
        self._begin_lag()
        self._say("connected", **stream)
        if self._trouble is None:
            self._enter("connected", now)

    def sample(self, stamp: float) -> None:
        """A sample has come, and what it is worth has been done."""
        if self.arrived == self._drop_arrived:
            return  # what cannot be placed says nothing of the way here, and is as good as silence
        self._placed, self._stampless = self.arrived, False
        lag = self.arrived - stamp
        if lag < self._quickest:
            self._quickest = lag
        if lag - self._quickest > LATE_S or self._eventful or self.arrived > self._turn:
            self._look(lag - self._quickest)

    def lend(self, fields: LiveFields) -> None:
        """Let the live loop watch samples that come in time."""
        fields.arrived, fields.placed, fields.quickest = self.arrived, self._placed, self._quickest
        fields.late_s, fields.turn = LATE_S, -math.inf if self._eventful else self._turn

    def take_back(self, fields: LiveFields) -> None:
        """Go on where the live loop is."""
        self.arrived = fields.arrived
        if fields.taken:
            self._placed, self._quickest, self._stampless = fields.placed, fields.quickest, False

    def silence(self, now: float) -> bool:
        """Nothing of use has come for a while, if ever; whether the stream is lost, and to be looked for elsewhere."""
        if math.isnan(self._placed):
            if self._trouble is None and now - self._since > FIRST_S:
                self._late(now, silent_s=now - self._since)
            return False
        silent, least = now - self._placed, LEAST_SAMPLES * self._sample_s
        if silent > max(LOST_S, least):
            self.lost(now, f"no sample that can be placed for {silent:.2f} s, though its connection stands")
        elif silent > max(LATE_S, least) and self._trouble is None:
            self._late(now, silent_s=silent)
        return self.state == "lost"

    def lost(self, now: float, reason: str, **stream: Any) -> None:
        """The stream is gone; said once, whatever is found out about it afterwards."""
        if self.state in ("lost", "mismatch"):
            return
        self._losses += 1
        self._said = 0.0
        self._worry("lost", now)
        silent = None if math.isnan(self._placed) else now - self._placed
        self._say("lost", reason=reason, silent_s=silent, **stream)

    def disturbance(self, event: str, **details: Any) -> None:
        """What the binner found wrong with the sample at hand: published as what it is."""
        if event == "gap":
            self._gap(**details)
        elif event == "duplicate":
            self._dropped(**details)
        else:
            if event == "invalid_stamp":
                self._drop_arrived = self.arrived
                if self._stampless:
                    return  # said of the first of them
                self._stampless = True
            self._say(event, **details)

    def _gap(self, t_source: float, missing_s: float, **details: Any) -> None:
        # Samples that are lost leave the stamps of the others alone: these do not come before their time. On a host so
        # busy that none has come quickly yet, the quickest is no measure; the time on the stamp is.
        early = min(self._quickest, 0.0) - (self.arrived - t_source)
        if missing_s < 0 or (early > missing_s / 2 and self._trouble is None):
            self._jumped(t_source, missing_s, **details)
        else:
            self._gaps += 1
            self._show_for_a_while("gap")
            self._say("gap", t_source=t_source, missing_s=missing_s, **details)

    def _dropped(self, t_source: float) -> None:
        stands = t_source == self._drop
        follows = stands or abs(t_source - self._drop - self._sample_s) < self._sample_s / 2
        if not follows:
            self._drops, self._drops_began = 0, self.arrived
        self._drops += 1
        self._drop, self._drop_arrived = t_source, self.arrived
        if self._drops > _DROPS:
            return
        self._say("duplicate", t_source=t_source)
        # What is sent again comes in a burst; what comes at its own pace is new, under stamps of the past.
        if self._drops == _DROPS and not stands and self.arrived - self._drops_began > self._sample_s:
            self._jumped(t_source, self._quickest - (self.arrived - t_source))

    def _jumped(self, t_source: float, jump_s: float, **details: Any) -> None:
        self._jumps += 1
        self._begin_lag()
        self._show_for_a_while("clock_jump")
        self._say("clock_jump", t_source=t_source, jump_s=jump_s, **details)

    def _look(self, lag: float) -> None:
        """What is not done for every sample."""
        now = self.arrived
        if lag > max(LATE_S, self._said):
            self._late(now, lag_s=lag, samples=round(lag / self._sample_s))
        elif self._trouble is not None and lag < LATE_S / 2:
            (after, began), self._trouble, self._said = self._trouble, None, 0.0
            self._show_for_a_while("recovered")
            self._say("recovered", after=after, lasted_s=now - began)
        elif self._trouble is None and self._eventful and now - self._since > SETTLED_S:
            self._eventful = False
            self._enter("connected", now)
        if (abs(self._quickest) > FOREIGN_S) != self._foreign:
            self._tell_foreign()
        if now > self._turn:
            # Of a stream that goes on all day the quickest sample was hours ago, on clocks that have drifted since.
            self._quickest += DRIFT * SETTLED_S
            self._turn = now + SETTLED_S
            self._show(lag)

    def _tell_foreign(self) -> None:
        """Stamps are of no LSL clock, or are again."""
        self._foreign = not self._foreign
        if not self._foreign:
            self._board.set_message("")
            return
        off = f"{abs(self._quickest):.0f} s {'ahead of' if self._quickest < 0 else 'behind'}"
        self._board.set_message(
            f"the stream's stamps are {off} the LSL clock: latencies mean nothing, and no other stream can be "
            "aligned with it. Let the rig stamp with LSL's local_clock()"
        )
        self._say("foreign_clock", behind_s=self._quickest)

    def _late(self, now: float, **figures: float) -> None:
        """Said when it begins, and whenever it has doubled."""
        self._said = 2 * max(figures.get("lag_s", 0.0), figures.get("silent_s", 0.0))
        if self._trouble is None or self._trouble[0] != "late":
            self._lates += 1
            self._worry("late", now)
        self._say("late", **figures)

    def _worry(self, state: StreamState, now: float) -> None:
        """Enter a state that lasts until samples come in time."""
        self._trouble = state, now if self._trouble is None else self._trouble[1]
        self._eventful = True
        self._enter(state, now)

    def _show_for_a_while(self, state: StreamState) -> None:
        self._eventful = True
        self._enter(state, self.arrived)

    def _begin_lag(self) -> None:
        self._quickest, self._turn, self._said = math.inf, -math.inf, 0.0

    def _enter(self, state: StreamState, now: float) -> None:
        self.state, self._since = state, now
        self._show(math.nan)

    def _show(self, lag_s: float) -> None:
        counts = self._gaps, self._lates, self._losses, self._jumps, self._mismatches
        self._board.set_stream(self.state, self._since, lag_s, counts)
