"""A simulated subject: reaches, neurons and spikes as one endless stream."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from bmi_decoder.config import Settings
from bmi_decoder.errors import InputError
from bmi_decoder.recording import Output, Recording
from bmi_decoder.simulation.population import Population, PopulationSettings
from bmi_decoder.simulation.reaches import ReachSettings, ReachStream

OUTPUTS = (Output("x_velocity", "m/s"), Output("y_velocity", "m/s"))
# Fixed, so that no draw depends on how many bins are asked for; small, so that a live rig is not held up.
BLOCK_BINS = 64
MAX_COUNTS = 4 * 2**30


class SubjectSettings(Settings):
    """Everything that defines a simulated recording but its length."""

    bin_s: float = Field(0.004, gt=0, le=0.1, description="Bin width in seconds.")
    subject_seed: int = Field(0, ge=0, lt=2**63, description="Which subject: draws the neurons.")
    seed: int = Field(
        0, ge=0, lt=2**63, description="Which session of that subject: draws behaviour, noise and spikes."
    )
    reaches: ReachSettings = ReachSettings()
    population: PopulationSettings = PopulationSettings()

    @property
    def source(self) -> str:
        """What a recording of this subject calls its origin."""
        return f"simulated subject {self.subject_seed}, seed {self.seed}"


class SimulatedSubject:
    """Spike counts and movement, bin after bin.

    The same settings give the same stream, bit for bit, however it is cut into calls. Two sessions with one
    `subject_seed` have the same neurons, so a decoder trained on one works on the other.

    Parameters
    ----------
    settings : SubjectSettings
        Subject, session and bin width.

    Examples
    --------
    >>> subject = SimulatedSubject(SubjectSettings(seed=1))
    >>> counts, velocity = subject.bins(10)
    >>> counts.shape, velocity.shape
    ((10, 96), (10, 2))
    """

    def __init__(self, settings: SubjectSettings) -> None:
        self.settings = settings
        _, noise, spikes = np.random.SeedSequence(settings.seed).spawn(3)
        self._reaches = reach_stream(settings)
        self.population = Population(
            settings.population,
            settings.bin_s,
            # A key of its own: a subject's neurons share no draws with a session of the same number.
            _generator(np.random.SeedSequence(settings.subject_seed, spawn_key=(1000,))),
            _generator(noise),
            _generator(spikes),
        )
        _, self._ahead = self._reaches.bins(self.population.max_lead_bins)
        self._counts = np.empty((0, settings.population.n_channels), np.uint8)
        self._velocity = np.empty((0, 2))

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Names and units of the columns of the kinematics."""
        return OUTPUTS

    def bins(self, n: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
        """Move on by n bins.

        Returns
        -------
        counts : array (n, C) of uint8
            Spikes per bin and channel.
        kinematics : array (n, 2)
            x and y velocity of the hand in m/s, at the middle of the bin.
        """
        if n < 0:
            raise InputError(f"the number of bins must not be negative, got {n}")
        counts = np.empty((n, self.settings.population.n_channels), np.uint8)
        kinematics = np.empty((n, len(OUTPUTS)))
        done = 0
        while done < n:
            if not len(self._counts):
                self._counts, self._velocity = self._block()
            take = min(n - done, len(self._counts))
            counts[done : done + take], self._counts = self._counts[:take], self._counts[take:]
            kinematics[done : done + take], self._velocity = self._velocity[:take], self._velocity[take:]
            done += take
        return counts, kinematics

    def _block(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
        _, new = self._reaches.bins(BLOCK_BINS)
        velocity = np.concatenate([self._ahead, new])
        self._ahead = velocity[BLOCK_BINS:]
        rates_hz = self.population.rates_hz(velocity, self.population.factors(BLOCK_BINS))
        return self.population.spikes(rates_hz), velocity[:BLOCK_BINS]


def reach_stream(settings: SubjectSettings) -> ReachStream:
    """The movement of a session, from its start: what `SimulatedSubject` decodes to, with positions and targets."""
    movement = np.random.SeedSequence(settings.seed).spawn(3)[0]
    return ReachStream(settings.reaches, settings.bin_s, _generator(movement))


def simulate(settings: SubjectSettings, seconds: float) -> Recording:
    """Record a simulated subject from the start of its stream.

    Parameters
    ----------
    settings : SubjectSettings
        Subject, session and bin width.
    seconds : float
        Length, rounded to whole bins; at least one bin.

    Raises
    ------
    InputError
        If `seconds` is not finite, shorter than a bin, or so long that the counts exceed 4 GiB.
    """
    n_bins = round(seconds / settings.bin_s) if np.isfinite(seconds) else 0
    if n_bins < 1:
        raise InputError(f"a simulated recording must last at least one bin ({settings.bin_s} s), got {seconds} s")
    if n_bins * settings.population.n_channels > MAX_COUNTS:
        raise InputError(
            f"{seconds} s of {settings.population.n_channels} channels are {n_bins} bins, more than "
            f"{MAX_COUNTS} counts; simulate shorter recordings with different seeds"
        )
    counts, kinematics = SimulatedSubject(settings).bins(n_bins)
    labels = tuple(f"sim{i:03d}" for i in range(counts.shape[1]))
    return Recording(counts, kinematics, OUTPUTS, settings.bin_s, channels=labels, source=settings.source)


def _generator(sequence: np.random.SeedSequence) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(sequence))
