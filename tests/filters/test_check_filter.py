import numpy as np
import pytest

from filters import BOUNDARIES, VARIANTS, BlockBidirectional, CausalSos, bessel_sos, check_filter
from filters.check_response import RESPONSE_CHECKS
from filters.check_streaming import STREAMING_CHECKS


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(
    ("order", "cutoff_hz", "rate_hz", "width"),
    [(4, 6.25, 250.0, 32), (2, 3.0, 20.0, 11), (3, 40.0, 1000.0, 64)],
)
def test_block_filters_keep_the_contract(order, cutoff_hz, rate_hz, width, boundary, variant, n_channels):
    options = {"order": order, "cutoff_hz": cutoff_hz, "rate_hz": rate_hz, "width": width}
    check_filter(lambda: BlockBidirectional.from_variant(variant, boundary=boundary, n_channels=n_channels, **options))


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize(
    ("order", "cutoff_hz", "rate_hz"),
    [(4, 6.25, 250.0), (2, 18.75, 250.0), (1, 2.0, 20.0), (8, 5.0, 1000.0)],
)
def test_causal_filters_keep_the_contract(order, cutoff_hz, rate_hz, n_channels):
    check_filter(lambda: CausalSos(bessel_sos(order, cutoff_hz, rate_hz), n_channels, rate_hz=rate_hz))


class Block(BlockBidirectional):
    """A sound filter for the breaks below."""

    def __init__(self):
        super().__init__(bessel_sos(2, 20.0, 250.0), 12, 5, n_channels=3, rate_hz=250.0)


class Causal(CausalSos):
    """A sound recursive filter for the breaks below."""

    def __init__(self):
        super().__init__(bessel_sos(2, 20.0, 250.0), 3, rate_hz=250.0)


class ForgetsBetweenChunks(Block):
    def process(self, X):
        self._history[:] = 0
        return super().process(X)


class RoundsByChunkLength(Block):
    def process(self, X):
        return super().process(X) * (1 + len(X) % 2 * 2**-52)


class ResetsOnEmptyChunk(Block):
    def process(self, X):
        if not len(X):
            self.reset()
        return super().process(X)


class ReturnsFloat32(Block):
    def process(self, X):
        return super().process(X).astype(np.float32)


class ChannelsFirst(Block):
    def process(self, X):
        return super().process(X).T


class StepOff(Block):
    def step(self, x):
        return super().step(x) * (1 + 2**-52)


class StepLeavesNoTrace(Block):
    def step(self, x):
        saved = self.state()
        out = super().process(np.asarray(x)[None])[0]
        if not self.warming_up:
            self.load_state(saved)
        return out


class NeverWarm(Block):
    @property
    def warming_up(self):
        return True


class WarmTooEarly(Block):
    @property
    def warming_up(self):
        return self._seen < self.width - 1


class ResetKeepsCount(Block):
    def reset(self):
        seen = getattr(self, "_seen", 0)
        super().reset()
        self._seen = seen


class ResetKeepsSamples(Causal):
    def reset(self):
        if not hasattr(self, "_sections"):
            super().reset()


class StateWithoutHistory(Block):
    def state(self):
        return super().state() | {"history": np.zeros((11, 3))}


class LoadForgetsCount(Block):
    def load_state(self, state):
        seen = self._seen
        super().load_state(state)
        self._seen = seen


class LoadForgetsStart(Causal):
    def load_state(self, state):
        started = self._started
        super().load_state(state)
        self._started = started and self._started


class SavingDisturbs(Block):
    def state(self):
        saved = super().state()
        self._history[:] = 0
        return saved


class StateIsLive(Block):
    def state(self):
        return {"history": self._history, "seen": np.array(self._seen)}

    def process(self, X):
        live = self._history
        out = super().process(X)
        live[:] = self._history
        self._history = live
        return out


class AcceptsAnyState(Block):
    def load_state(self, state):
        self._history = np.asarray(state.get("history", self._history))
        self._seen = int(np.real(np.max(state.get("seen", self._seen))))


class IgnoresExtraArrays(Block):
    def load_state(self, state):
        super().load_state({k: v for k, v in state.items() if k in ("history", "seen")} if len(state) > 2 else state)


class RefusesTooLate(Block):
    def load_state(self, state):
        self._history = np.zeros_like(self._history)
        super().load_state(state)


class WritesToInput(Block):
    def process(self, X):
        out = super().process(X)
        if isinstance(X, np.ndarray) and len(X) > 1:
            X[0] = 0
        return out


class ReusesItsOutput(Block):
    def step(self, x):
        if not hasattr(self, "_out"):
            self._out = np.empty(3)
        self._out[:] = super().step(x)
        return self._out


class KeepsTheInput(Block):
    def process(self, X):
        out = super().process(X)
        if len(X) == 1 and isinstance(X, np.ndarray) and X.base is None:
            self._kept = X
        return out

    def step(self, x):
        if hasattr(self, "_kept"):
            self._history[-1] = self._kept[0]
        return super().step(x)


class EachOneDiffers(Block):
    made = 0

    def __init__(self):
        super().__init__()
        EachOneDiffers.made += 1
        self._taps = self._taps * (1 + EachOneDiffers.made * 1e-12)


class FloorsIntegers(Block):
    def process(self, X):
        out = super().process(X)
        return np.floor(out) if np.asarray(X).dtype.kind in "iu" else out


class FiltersInFloat32(Block):
    def process(self, X):
        out = super().process(X)
        return out.astype(np.float32).astype(float) if np.asarray(X).dtype == np.float32 else out


class MixesChannels(Block):
    def process(self, X):
        X = np.asarray(X)
        return super().process(X - X.mean(axis=1, keepdims=True) / 2 if X.ndim == 2 else X)


class LeavesOutTheLastChannel(Block):
    def process(self, X):
        out = super().process(X)
        out[:, 2] = np.asarray(X)[:, 2]
        return out


class DropsExtraChannels(Block):
    def process(self, X):
        return super().process(np.asarray(X)[:, :3])


class ReadsText(Block):
    def process(self, X):
        return super().process(np.asarray(X, dtype=float))


class AcceptsRows(Block):
    def step(self, x):
        return super().step(np.reshape(x, -1))


class Clips(Block):
    def process(self, X):
        return np.clip(super().process(X), -0.5, 0.5)


class Amplifies(Block):
    def __init__(self):
        super().__init__()
        self._taps = self._taps * 1.001


class StartsFromZero(Causal):
    def reset(self):
        super().reset()
        self._started = True


class OverstatesGain(Block):
    def gain(self, frequencies_hz):
        return super().gain(frequencies_hz) ** 0.9


class FlattensGain(Block):
    def gain(self, frequencies_hz):
        gain = super().gain(frequencies_hz)
        return gain[:-1] if gain.ndim else gain


class UnderstatesDelay(Block):
    @property
    def delay_samples(self):
        return super().delay_samples - 0.01


class LagOfAnother(Causal):
    @property
    def lag_samples(self):
        return super().lag_samples + 1


class LagInMilliseconds(Block):
    @property
    def lag_s(self):
        return super().lag_s * 1000


class LooksAheadTooFar(Block):
    @property
    def lookahead_samples(self):
        return self.width


class UnderstatesNoise(Block):
    @property
    def noise_gain(self):
        return super().noise_gain * 0.99


class HidesNan(Block):
    def process(self, X):
        return np.nan_to_num(super().process(X))


class NanStays(Block):
    def process(self, X):
        out = super().process(X)
        out[np.maximum.accumulate(np.isnan(out), axis=0)] = np.nan
        return out


class NanSpreads(Block):
    def process(self, X):
        out = super().process(X)
        out[np.isnan(out).any(axis=1)] = np.nan
        return out


class HidesNanInRecursion(Causal):
    def process(self, X):
        return np.nan_to_num(super().process(X))


class NanOutlivesReset(Causal):
    def reset(self):
        if not hasattr(self, "_sections") or not np.isnan(self._sections).any():
            super().reset()


BROKEN = [
    (LagInMilliseconds, "check_figures", "lag_s must be lag_samples / rate_hz"),
    (LooksAheadTooFar, "check_figures", "lookahead_samples must be in 0..11; got 12"),
    (ForgetsBetweenChunks, "check_chunks", "chunk dependence: outputs differ"),
    (RoundsByChunkLength, "check_chunks", "chunk dependence: outputs differ"),
    (ResetsOnEmptyChunk, "check_chunks", "chunk dependence: outputs differ"),
    (ReturnsFloat32, "check_chunks", "must return float64; got float32"),
    (ChannelsFirst, "check_chunks", "must keep the shape"),
    (EachOneDiffers, "check_chunks", "chunk dependence: outputs differ"),
    (StepOff, "check_step", "step differs from process"),
    (StepLeavesNoTrace, "check_step", "step differs from process"),
    (NeverWarm, "check_warm_up", "warming_up must be False after 12 samples"),
    (WarmTooEarly, "check_warm_up", "warming_up must be True after 11 samples"),
    (ResetKeepsCount, "check_reset", "reset: warming_up"),
    (ResetKeepsSamples, "check_reset", "reset: outputs differ"),
    (StateWithoutHistory, "check_state", "state: saved after 1 samples and loaded, outputs differ"),
    (LoadForgetsCount, "check_state", "state: saved after .* outputs differ"),
    (LoadForgetsStart, "check_state", "state: saved after 1 samples and loaded, outputs differ"),
    (SavingDisturbs, "check_state", "state: saving after .* disturbed"),
    (StateIsLive, "check_state", "state: saved after .* outputs differ"),
    (AcceptsAnyState, "check_state_refusal", "load_state accepted a state with 'history' missing"),
    (IgnoresExtraArrays, "check_state_refusal", "load_state accepted an extra array"),
    (RefusesTooLate, "check_state_refusal", "a refused state changed the filter"),
    (WritesToInput, "check_determinism", "changed its input"),
    (ReusesItsOutput, "check_determinism", "outputs of step were overwritten"),
    (KeepsTheInput, "check_determinism", "kept a reference to its input"),
    (EachOneDiffers, "check_determinism", "two new filters give different outputs"),
    (FloorsIntegers, "check_dtypes", "int64 gives other outputs"),
    (FiltersInFloat32, "check_dtypes", "float32 gives other outputs"),
    (MixesChannels, "check_channels", "or they mix"),
    (LeavesOutTheLastChannel, "check_channels", "channel 2 is filtered otherwise"),
    (DropsExtraChannels, "check_refusal", "accepted a chunk that is wrong: one channel too many"),
    (ReadsText, "check_refusal", "accepted a chunk that is wrong: text"),
    (AcceptsRows, "check_refusal", "accepted a sample that is wrong: 2-D"),
    (HidesNan, "check_nan", "an output whose memory holds a NaN is a number"),
    (NanStays, "check_nan", "no recovery after 12 samples"),
    (NanSpreads, "check_nan", "spread to other channels"),
    (HidesNanInRecursion, "check_nan", "the output at a NaN sample is a number"),
    (NanOutlivesReset, "check_nan", "outlives reset"),
    (Clips, "check_linearity", "not linear"),
    (Amplifies, "check_constant", "gain at 0 Hz must be 1"),
    (StartsFromZero, "check_constant", "a constant must pass unchanged"),
    (OverstatesGain, "check_gain", "is declared as .* and measured as"),
    (FlattensGain, "check_gain", "gain must keep the shape"),
    (UnderstatesDelay, "check_delay", "delay_samples is declared as"),
    (LagOfAnother, "check_delay", "lag_samples is declared as"),
    (UnderstatesNoise, "check_noise_gain", "noise_gain is declared as"),
]
CHECKS = {check.__name__: check for check in STREAMING_CHECKS + RESPONSE_CHECKS}


@pytest.mark.parametrize("make_filter", [Block, Causal])
def test_the_filters_under_the_breaks_are_sound(make_filter):
    check_filter(make_filter)


@pytest.mark.parametrize(("make_filter", "check", "message"), BROKEN)
def test_each_break_is_found(make_filter, check, message):
    with pytest.raises(AssertionError, match=message):
        CHECKS[check](make_filter)
    with pytest.raises(AssertionError):
        check_filter(make_filter)


def test_every_check_has_a_break_that_it_finds():
    assert {check for _, check, _ in BROKEN} == set(CHECKS)
