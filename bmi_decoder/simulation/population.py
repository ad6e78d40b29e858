"""Neurons with cosine tuning, shared noise and random spikes."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from bmi_decoder.config import Settings

FloatArray = npt.NDArray[np.float64]


class PopulationSettings(Settings):
    """What the recorded neurons are like. Each neuron's own values are drawn around these."""

    n_channels: int = Field(96, ge=1, le=4096, description="Neurons, one per channel.")
    baseline_median_hz: float = Field(9.0, gt=0, description="Median firing rate at rest in Hz.")
    baseline_min_hz: float = Field(2.5, gt=0, description="Lowest rate at rest of an active neuron in Hz.")
    baseline_max_hz: float = Field(30.0, gt=0, description="Highest rate at rest in Hz.")
    baseline_spread: float = Field(0.6, ge=0, le=3, description="Standard deviation of the log rate at rest.")
    silent_fraction: float = Field(0.05, ge=0, le=1, description="Share of nearly silent channels.")
    silent_hz: float = Field(0.2, ge=0, description="Rate at rest of a nearly silent channel in Hz.")
    weak_fraction: float = Field(0.25, ge=0, le=1, description="Share of weakly tuned channels.")
    weak_gain: float = Field(0.15, ge=0, le=1, description="Tuning of a weakly tuned channel, as a share of the rest.")
    reference_speed_m_s: float = Field(0.3, gt=0, description="Speed at which the modulations below are given, in m/s.")
    direction_modulation: float = Field(
        0.39,
        ge=0,
        description="Mean change of rate, in rates at rest, at reference speed in the preferred direction.",
    )
    speed_modulation: float = Field(
        0.25, ge=0, description="Standard deviation of the change of rate with speed alone, in rates at rest."
    )
    lead_s: float = Field(0.1, ge=0, le=1, description="Mean lead of neural activity before movement in s.")
    lead_spread_s: float = Field(0.02, ge=0, le=1, description="Standard deviation of the lead across neurons in s.")
    n_factors: int = Field(3, ge=0, le=64, description="Shared noise factors; 0 gives independent neurons.")
    factor_tau_s: float = Field(0.5, gt=0, description="Correlation time of the shared noise in s.")
    factor_gain: float = Field(0.3, ge=0, description="Standard deviation of the shared noise, in rates at rest.")
    max_rate_hz: float = Field(200.0, gt=0, le=1000, description="Highest instantaneous rate in Hz.")
    spiking: Literal["bernoulli", "poisson"] = Field(
        "bernoulli", description="At most one spike per bin (a Poisson count cut at 1), or Poisson counts."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.baseline_min_hz <= self.baseline_median_hz <= self.baseline_max_hz <= self.max_rate_hz:
            raise ValueError("rates must be ordered: baseline_min_hz, baseline_median_hz, baseline_max_hz, max_rate_hz")
        return self


class Population:
    """The neurons of one subject, drawn once and then fixed.

    A neuron fires at ``baseline * (1 + (direction . v + speed_gain * |v|) / reference_speed + shared noise)``
    hertz, cut at 0 and at the highest rate, where v is the velocity `lead_bins` later.

    Parameters
    ----------
    settings : PopulationSettings
        Distribution of the neurons.
    bin_s : float
        Bin width in seconds.
    subject_rng : numpy.random.Generator
        Draws the neurons. The neurons do not depend on the bin width.
    noise_rng, spike_rng : numpy.random.Generator
        Draw the shared noise and the spikes, bin after bin.

    Attributes
    ----------
    baseline_hz : array (C,)
        Firing rate at rest.
    preferred_rad : array (C,)
        Preferred direction, anticlockwise from x.
    direction : array (2, C)
        Modulation by velocity; its length is the tuning depth.
    speed_gain : array (C,)
        Modulation by speed.
    loadings : array (F, C)
        Weights of the shared noise factors.
    lead_bins : array (C,)
        Bins by which a neuron is ahead of the movement.

    Notes
    -----
    Moran & Schwartz 1999, J. Neurophysiol. 82 2676 for tuning to direction and speed.
    """

    def __init__(
        self,
        settings: PopulationSettings,
        bin_s: float,
        subject_rng: np.random.Generator,
        noise_rng: np.random.Generator,
        spike_rng: np.random.Generator,
    ) -> None:
        s, n = settings, settings.n_channels
        self._settings = settings
        self._bin_s = bin_s
        self._noise_rng = noise_rng
        self._spike_rng = spike_rng
        log_rate = np.log(s.baseline_median_hz) + s.baseline_spread * subject_rng.standard_normal(n)
        baseline = np.clip(np.exp(log_rate), s.baseline_min_hz, s.baseline_max_hz)
        self.baseline_hz = np.where(subject_rng.random(n) < s.silent_fraction, s.silent_hz, baseline)
        gain = np.where(subject_rng.random(n) < s.weak_fraction, s.weak_gain, 1.0)
        # One per equal sector, so that no subject is far better at x than at y by chance.
        sector = subject_rng.permutation(n) + subject_rng.random(n)
        self.preferred_rad = 2.0 * np.pi * sector / n - np.pi
        depth = s.direction_modulation * gain * subject_rng.uniform(0.6, 1.4, n)
        self.direction = depth * np.stack([np.cos(self.preferred_rad), np.sin(self.preferred_rad)])
        self.speed_gain = s.speed_modulation * gain * subject_rng.standard_normal(n)
        lead_s = np.maximum(0.0, s.lead_s + s.lead_spread_s * subject_rng.standard_normal(n))
        self.lead_bins = np.rint(lead_s / bin_s).astype(np.intp)
        loadings = subject_rng.standard_normal((s.n_factors, n))
        self.loadings = loadings * (s.factor_gain / np.sqrt(max(1, s.n_factors)))
        self._decay = float(np.exp(-bin_s / s.factor_tau_s))
        self._factors = noise_rng.standard_normal((1, s.n_factors))

    @property
    def max_lead_bins(self) -> int:
        """Bins of future movement that `rates_hz` needs."""
        return int(self.lead_bins.max())

    def factors(self, n: int) -> FloatArray:
        """Next n bins of the shared noise factors, (n, F), each of unit variance."""
        step: FloatArray = self._noise_rng.standard_normal((n, self._factors.shape[1]))
        if not step.size:
            return step
        # Loading it takes a second, which whoever only asks for a command's help should not wait.
        from scipy.signal import lfilter

        step *= np.sqrt(1.0 - self._decay**2)
        factors: FloatArray = lfilter([1.0], [1.0, -self._decay], step, axis=0, zi=self._decay * self._factors)[0]
        self._factors = factors[-1:]
        return factors

    def rates_hz(self, velocity: FloatArray, factors: FloatArray) -> FloatArray:
        """Firing rate of every neuron.

        Parameters
        ----------
        velocity : array (n + max_lead_bins, 2)
            Movement in m/s of these n bins and of those that follow.
        factors : array (n, F)
            Shared noise of the n bins.

        Returns
        -------
        array (n, C)
            Rates in Hz.
        """
        scaled = velocity / self._settings.reference_speed_m_s
        tuned = scaled @ self.direction + np.hypot(scaled[:, 0], scaled[:, 1])[:, None] * self.speed_gain
        rows = np.arange(len(factors))[:, None] + self.lead_bins
        drive = 1.0 + np.take_along_axis(tuned, rows, axis=0) + factors @ self.loadings
        rates: FloatArray = np.clip(self.baseline_hz * drive, 0.0, self._settings.max_rate_hz)
        return rates

    def spikes(self, rates_hz: FloatArray) -> npt.NDArray[np.uint8]:
        """Draw spike counts (n, C) for rates (n, C) in Hz."""
        expected = rates_hz * self._bin_s
        if self._settings.spiking == "poisson":
            return np.minimum(self._spike_rng.poisson(expected), 255).astype(np.uint8)
        return (self._spike_rng.random(expected.shape) < -np.expm1(-expected)).astype(np.uint8)
