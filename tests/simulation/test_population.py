import numpy as np
import pytest
from pydantic import ValidationError

from bmi_decoder.simulation import Population, PopulationSettings, SimulatedSubject, SubjectSettings, simulate

BIN_S = 0.004


def _population(bin_s: float = BIN_S, subject: int = 1, noise: int = 2, **changes: object) -> Population:
    rngs = [np.random.default_rng(seed) for seed in (subject, noise, 3)]
    return Population(PopulationSettings.model_validate(changes), bin_s, *rngs)


def _constant(population: Population, vx: float, vy: float, n: int = 1) -> np.ndarray:
    velocity = np.tile([vx, vy], (n + population.max_lead_bins, 1))
    return population.rates_hz(velocity, np.zeros((n, 3)))[0]


def test_rates_at_rest_are_the_baseline() -> None:
    population = _population()
    assert np.allclose(_constant(population, 0.0, 0.0), population.baseline_hz)
    active = population.baseline_hz[population.baseline_hz > 1]
    assert active.min() >= 2.5
    assert active.max() <= 30.0


def test_tuning_is_a_cosine_of_direction() -> None:
    population = _population(speed_modulation=0.0, direction_modulation=0.3)
    angles = np.arange(0, 2 * np.pi, np.pi / 8)
    rates = np.array([_constant(population, 0.2 * np.cos(a), 0.2 * np.sin(a)) for a in angles])
    depth = np.hypot(*population.direction) * 0.2 / 0.3
    expected = population.baseline_hz * (1 + depth * np.cos(angles[:, None] - population.preferred_rad))
    assert np.allclose(rates, expected)


def test_speed_alone_changes_the_rate() -> None:
    population = _population(direction_modulation=0.0)
    rates = _constant(population, 0.0, 0.15)
    assert np.allclose(rates, population.baseline_hz * np.maximum(0, 1 + 0.5 * population.speed_gain))


def test_activity_leads_movement_by_each_neurons_lead() -> None:
    population = _population(lead_s=0.1, lead_spread_s=0.03, speed_modulation=0.0)
    onset = population.max_lead_bins
    velocity = np.zeros((onset + 1 + onset, 2))
    velocity[onset:] = 0.05
    rates = population.rates_hz(velocity, np.zeros((onset + 1, 3)))
    first = np.argmax(rates != population.baseline_hz, axis=0)
    assert np.array_equal(onset - first, population.lead_bins)
    assert population.lead_bins.mean() * BIN_S == pytest.approx(0.1, abs=0.02)
    assert population.lead_bins.std() > 0


def test_channels_differ() -> None:
    population = _population(n_channels=2000)
    depth = np.hypot(*population.direction)
    assert np.mean(population.baseline_hz == 0.2) == pytest.approx(0.05, abs=0.02)
    assert np.mean(depth < 0.3 * 0.39) == pytest.approx(0.25, abs=0.04)


def test_preferred_directions_cover_the_circle() -> None:
    population = _population(n_channels=12)
    assert np.histogram(population.preferred_rad, 12, (-np.pi, np.pi))[0].tolist() == [1] * 12


def test_neurons_do_not_depend_on_session_or_bin_width() -> None:
    one, other = _population(), _population(bin_s=0.02, noise=77)
    assert np.array_equal(one.direction, other.direction)
    assert np.array_equal(one.baseline_hz, other.baseline_hz)
    assert not np.array_equal(one.direction, _population(subject=5).direction)


def test_shared_noise_is_slow_and_of_unit_variance() -> None:
    factors = _population(factor_tau_s=0.2).factors(200_000)
    assert np.allclose(factors.var(axis=0), 1.0, atol=0.1)
    lag = round(0.2 / BIN_S)
    for factor in factors.T:
        assert np.corrcoef(factor[:-lag], factor[lag:])[0, 1] == pytest.approx(np.exp(-1), abs=0.07)


def test_shared_noise_does_not_depend_on_chunks() -> None:
    one, other = _population(), _population()
    parts = np.concatenate([other.factors(n) for n in (1, 0, 7, 92)])
    assert np.allclose(one.factors(100), parts, rtol=1e-12, atol=1e-14)


def test_without_factors_neurons_are_independent() -> None:
    population = _population(n_factors=0)
    assert population.factors(5).shape == (5, 0)
    velocity = np.zeros((5 + population.max_lead_bins, 2))
    assert np.allclose(population.rates_hz(velocity, population.factors(5)), population.baseline_hz)


@pytest.mark.parametrize("spiking", ["bernoulli", "poisson"])
def test_spikes_follow_the_rate(spiking: str) -> None:
    population = _population(bin_s=0.05, spiking=spiking)
    rates = np.tile([0.0, 2.0, 40.0], (40_000, 1))
    spikes = population.spikes(rates)
    expected = rates[0] * 0.05 if spiking == "poisson" else 1 - np.exp(-rates[0] * 0.05)
    assert np.allclose(spikes.mean(axis=0), expected, rtol=0.05)
    assert spikes.dtype == np.uint8
    assert (spikes.max() > 3) == (spiking == "poisson")


def test_rates_are_cut_at_both_ends() -> None:
    population = _population(direction_modulation=5.0)
    rates = _constant(population, 30.0, 0.0)
    assert rates.min() == 0.0
    assert rates.max() == 200.0


def test_disordered_rates_are_refused() -> None:
    with pytest.raises(ValidationError, match="rates must be ordered"):
        PopulationSettings(baseline_median_hz=50.0)


@pytest.fixture(scope="module")
def session() -> tuple[np.ndarray, np.ndarray, Population]:
    settings = SubjectSettings(subject_seed=1, seed=2)
    recording = simulate(settings, 480.0)
    return recording.counts, recording.kinematics, SimulatedSubject(settings).population


def test_mean_rates_are_physiological(session: tuple[np.ndarray, np.ndarray, Population]) -> None:
    counts, _, population = session
    rates = counts.mean(axis=0) / BIN_S
    silent = population.baseline_hz < 1
    assert np.all((rates[~silent] > 2) & (rates[~silent] < 40))
    assert np.all(rates[silent] < 1)
    assert 0 < silent.sum() < 15


def test_regression_finds_the_preferred_directions(
    session: tuple[np.ndarray, np.ndarray, Population],
) -> None:
    counts, velocity, population = session
    lag = round(0.1 / BIN_S)
    speed = np.hypot(*velocity[lag:].T)
    design = np.column_stack([velocity[lag:], speed, np.ones(len(speed))])
    weights = np.linalg.lstsq(design, counts[:-lag] / BIN_S, rcond=None)[0]
    found = np.arctan2(weights[1], weights[0])
    error = np.abs(np.angle(np.exp(1j * (found - population.preferred_rad))))
    tuned = (np.hypot(*population.direction) > 0.2) & (population.baseline_hz > 1)
    assert tuned.sum() > 50
    assert np.degrees(np.median(error[tuned])) < 5
    assert np.degrees(error[tuned].max()) < 25
    depth = np.hypot(*weights[:2]) / population.baseline_hz
    true = np.hypot(*population.direction) / 0.3
    assert np.corrcoef(depth[tuned], true[tuned])[0, 1] > 0.8


def test_noise_is_correlated_at_matched_movement() -> None:
    # The same movement for all bins, so that whatever neurons share is noise.
    population = _population(noise=11)
    n = 100_000
    at_rest = np.zeros((n + population.max_lead_bins, 2))
    spikes = population.spikes(population.rates_hz(at_rest, population.factors(n)))
    blocks = spikes.reshape(-1, 100, spikes.shape[1]).sum(axis=1, dtype=float)
    keep = population.baseline_hz > 5
    measured = np.corrcoef(blocks[:, keep].T)
    shared = population.loadings[:, keep].T @ population.loadings[:, keep]
    pairs = np.triu_indices(keep.sum(), 1)
    assert np.corrcoef(measured[pairs], shared[pairs])[0, 1] > 0.8
    alike = shared[pairs] > np.quantile(shared[pairs], 0.8)
    assert measured[pairs][alike].mean() > 0.05
    assert np.abs(measured[pairs]).max() < 0.8
