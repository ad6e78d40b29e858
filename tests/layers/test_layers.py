"""The layers without spikes, and stacks of layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bmi_decoder.errors import InputError
from bmi_decoder.layers.boxcar import Boxcar
from bmi_decoder.layers.dense import Dense
from bmi_decoder.layers.layer import Layer, Stack, State
from bmi_decoder.layers.lif import Lif
from bmi_decoder.layers.lstm import Lstm
from bmi_decoder.layers.normalise import Binarise, Dropout, LayerNorm, OutputScale, Quantise, Standardise


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def stepped(layer: Layer, x: Tensor, state: State) -> tuple[Tensor, State]:
    return Layer.scan(layer, x, state)


class TestLstm:
    @pytest.mark.parametrize("initial", ["xavier_normal", "orthogonal"])
    def test_step_is_torchs_lstm(self, initial: str) -> None:
        torch.manual_seed(0)
        layer = Lstm(5, 7, initial)  # type: ignore[arg-type]
        reference = torch.nn.LSTM(5, 7, batch_first=True)
        reference.load_state_dict(layer.lstm.state_dict())
        x, h, c = 2 * normal(3, 60, 5), normal(3, 7, seed=1), normal(3, 7, seed=2)
        with torch.no_grad():
            want, (last_h, last_c) = reference(x, (h[None], c[None]))
        for y, state in (stepped(layer, x, {"h": h, "c": c}), layer.scan(x, {"h": h, "c": c})):
            torch.testing.assert_close(y, want, rtol=0, atol=1e-6)
            torch.testing.assert_close(state["h"], last_h[0], rtol=0, atol=1e-6)
            torch.testing.assert_close(state["c"], last_c[0], rtol=0, atol=1e-6)

    def test_another_start_is_refused(self) -> None:
        with pytest.raises(InputError, match="xavier_normal"):
            Lstm(5, 7, "ones")  # type: ignore[arg-type]

    def test_xavier_weights_have_xaviers_deviation(self) -> None:
        torch.manual_seed(0)
        weight = Lstm(96, 32, "xavier_normal").lstm.weight_ih_l0.detach()
        assert float(weight.std()) == pytest.approx((2 / (96 + 4 * 32)) ** 0.5, rel=0.03)


class TestBoxcar:
    @pytest.mark.parametrize("width", [2, 3, 8])
    def test_sums_the_last_bins(self, width: int) -> None:
        counts = torch.poisson(torch.full((2, 40, 3), 1.5), generator=torch.Generator().manual_seed(0))
        layer = Boxcar(3, width)
        kernel = np.ones(width)
        want = np.stack([np.convolve(column, kernel)[:40] for column in counts[0].T.numpy()], 1)
        for y, state in (
            stepped(layer, counts, layer.initial_state(2)),
            layer.scan(counts, layer.initial_state(2)),
        ):
            assert np.array_equal(y[0].numpy(), want)
            assert torch.equal(state["ring"], counts[:, 41 - width :])

    @pytest.mark.parametrize("width", [1, 0, -3, 2.5])
    def test_a_width_that_makes_no_sum_is_refused(self, width: float) -> None:
        with pytest.raises(ValueError, match="at least 2 bins"):
            Boxcar(3, width)  # type: ignore[arg-type]

    def test_sums_of_counts_stay_whole(self) -> None:
        assert Boxcar(3, 8).finalise(4.0, 0.5) == (32.0, 0.5)


class TestStandardise:
    def test_channels_have_mean_zero_and_deviation_one(self) -> None:
        x = torch.tensor([1.0, 2.0, 1.5]) * normal(1000, 3) + torch.tensor([0.0, 3.0, -7.0])
        layer = Standardise(3)
        layer.calibrate(x)
        y = layer(x)
        torch.testing.assert_close(y.mean(0), torch.zeros(3), rtol=0, atol=1e-5)
        torch.testing.assert_close(y.std(0), torch.ones(3), rtol=0, atol=1e-5)

    def test_a_silent_channel_stays_zero(self) -> None:
        """Also on the day that it fires again: nothing is known about it."""
        x = torch.poisson(torch.tensor([[2.0, 0.0, 1.0]]).repeat(500, 1), generator=torch.Generator().manual_seed(0))
        x[:, 1] = 0
        layer = Standardise(3)
        layer.calibrate(x)
        assert not layer(x)[:, 1].any()
        assert layer(torch.full((1, 3), 50.0))[0, 1] == 0
        assert layer(x).isfinite().all()

    def test_all_channels_silent(self) -> None:
        layer = Standardise(2)
        layer.calibrate(torch.full((100, 2), 3.0))
        assert not layer(torch.full((4, 2), 3.0)).any()

    def test_a_nearly_silent_channel_is_not_blown_up(self) -> None:
        x = torch.zeros(1000, 5)
        x[:, :4] = normal(1000, 4)
        x[500, 4] = 1.0
        layer = Standardise(5)
        layer.calibrate(x)
        assert layer(x)[:, 4].abs().max() < 5

    def test_folding_leaves_the_function_as_it_is(self) -> None:
        torch.manual_seed(0)
        layer, dense, x = Standardise(4), Dense(4, 3), 3 * normal(200, 4) + 1
        layer.calibrate(x)
        with torch.no_grad():
            want = dense.linear(layer(x))
            layer.fold_into(dense)
            torch.testing.assert_close(dense.linear(x), want, rtol=0, atol=1e-5)
            assert torch.equal(layer(x), x)
        assert layer.finalise(15.0, 1.0) == (15.0, 1.0)

    def test_before_folding_nothing_is_known_of_its_output(self) -> None:
        layer = Standardise(4)
        layer.calibrate(3 * normal(200, 4))
        assert layer.finalise(15.0, 1.0) == (float("inf"), 0.0)


class TestQuantise:
    def test_rounds_half_to_even_and_limits(self) -> None:
        x = torch.tensor([-9.0, -1.5, -0.5, 0.2, 0.5, 1.5, 2.5, 9.0])
        assert Quantise(1.0, 3.0)(x).tolist() == [-3, -2, 0, 0, 0, 2, 2, 3]
        assert Quantise(0.5, 2.0)(x).tolist() == [-2, -1.5, -0.5, 0, 0.5, 1.5, 2, 2]

    def test_gradients_pass_straight_through_within_the_limits(self) -> None:
        x = (3 * normal(500)).requires_grad_()
        y = Quantise(0.25, 4.0)(x)
        y.sum().backward()
        assert torch.equal(y.detach(), Quantise(0.25, 4.0)(x.detach())), "the same numbers with and without gradients"
        assert torch.equal(x.grad, (x.detach().abs() <= 4.125).float())

    @pytest.mark.parametrize("step", [0.1, 3.0, 0.0, -0.5, float("nan"), float("inf")])
    def test_the_step_must_be_a_power_of_two(self, step: float) -> None:
        with pytest.raises(ValueError, match="power of two"):
            Quantise(step, 4.0)

    @pytest.mark.parametrize("limit", [0.3, 0.0, -1.0, float("nan")])
    def test_the_limit_must_be_on_the_grid(self, limit: float) -> None:
        with pytest.raises(ValueError, match="multiple of its step"):
            Quantise(0.25, limit)

    def test_says_what_comes_out(self) -> None:
        assert Quantise(0.25, 4.0).finalise(float("inf"), 0.0) == (4.0, 0.25)
        assert Binarise().finalise(float("inf"), 0.0) == (1.0, 1.0)


def test_layer_norm_is_torchs() -> None:
    x = normal(2, 30, 6)
    torch.testing.assert_close(LayerNorm(6)(x), torch.nn.functional.layer_norm(x, (6,)))


def test_dropout_does_nothing_once_deployed() -> None:
    torch.manual_seed(0)
    layer, x = Dropout(0.5), torch.ones(1000)
    assert 300 < int((layer(x) == 0).sum()) < 700
    assert torch.equal(layer.eval()(x), x)
    assert layer.finalise(3.0, 1.0) == (3.0, 1.0)


def test_output_scale_starts_as_asked() -> None:
    torch.manual_seed(0)
    assert OutputScale(3, 0.5).scale.tolist() == [0.5] * 3
    drawn = OutputScale(4000).scale.detach()
    assert float(drawn.mean()) == pytest.approx(0, abs=0.06)
    assert float(drawn.std()) == pytest.approx(1, abs=0.06)


class TestStack:
    def stack(self) -> Stack:
        torch.manual_seed(0)
        return Stack(
            {
                "sum": Boxcar(4, 3),
                "a": Dense(4, 5),
                "first": Lif(5, 0.9, 0.3, "subtract"),
                "b": Dense(5, 5),
                "first2": Lif(5, 0.8, 0.2, "zero"),
            }
        )

    def test_state_is_named_after_its_layer(self) -> None:
        state = self.stack().initial_state(2)
        assert {name: tuple(value.shape) for name, value in state.items()} == {
            "sum.ring": (2, 2, 4),
            "first.membrane": (2, 5),
            "first2.membrane": (2, 5),
        }

    def test_scan_is_repeated_step(self) -> None:
        stack = self.stack()
        x = torch.poisson(torch.ones(2, 50, 4), generator=torch.Generator().manual_seed(0))
        want, last = stepped(stack, x, stack.initial_state(2))
        with torch.no_grad():
            got, state = stack.scan(x, stack.initial_state(2))
        assert want.any()
        torch.testing.assert_close(got, want)
        assert list(state) == list(last)

    def test_finalise_knows_what_comes_from_the_layer_before(self) -> None:
        stack = self.stack()
        before = {name: value.clone() for name, value in stack.state_dict().items()}
        assert stack.finalise(float("inf"), 1.0) == (1.0, 1.0)
        changed = {name for name, value in stack.state_dict().items() if not torch.equal(value, before[name])}
        assert changed == {"layers.b.linear.weight", "layers.b.linear.bias"}, "only behind spikes is the input bounded"


def test_a_layer_says_what_it_lacks() -> None:
    with pytest.raises(NotImplementedError, match="Layer defines no step"):
        Layer().step(torch.zeros(1, 1), {})
    with pytest.raises(NotImplementedError, match="Layer has no instruction in the streaming machine"):
        Layer().lower(None, None)  # type: ignore[arg-type]
