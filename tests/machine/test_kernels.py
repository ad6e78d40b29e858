"""Each instruction against an independent reference: numpy, scipy or torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import lfilter

from bmi_decoder.machine.builder import Builder, Slot
from bmi_decoder.machine.executor import Executor
from bmi_decoder.machine.kernels.move import COPY, INPUT, OUTPUT
from bmi_decoder.machine.kernels.spiking import RESET_NONE, RESET_SUBTRACT, RESET_ZERO
from tests.machine.support import executor, normal


class TestLinear:
    @pytest.mark.parametrize("n_in", [1, 2, 3, 4, 5, 8, 31, 32, 33, 70])
    @pytest.mark.parametrize("n_out", [1, 7, 8, 16])
    @pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 1.0])
    def test_product_and_bias(self, n_in: int, n_out: int, density: float) -> None:
        rng = np.random.default_rng(n_in)
        weight, bias = normal(n_out, n_in), normal(n_out, seed=1)
        x = np.where(rng.random((20, n_in)) < density, normal(20, n_in, seed=2), 0).astype(np.float32)
        builder = Builder(n_in)
        row = builder.input()
        with_bias, without = builder.linear(row, weight, bias), builder.linear(row, weight)
        y = executor(builder, with_bias, without).run(x)
        want = x.astype(np.float64) @ weight.T
        np.testing.assert_allclose(y, np.hstack([want + bias, want]), rtol=0, atol=2e-6 * n_in)

    def test_accumulates_onto_another_vector(self) -> None:
        for copies in (1, 5):
            builder = Builder(3)
            x = builder.input()
            y = builder.linear(x, np.full((2 * copies, 3), 2.0), [10.0, 20.0] * copies)
            assert builder.linear(x, [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]] * copies, onto=y) is y
            got = executor(builder, y).run([[1, 2, 3], [0, 0, 0]])
            assert got.tolist() == [[23.0, 35.0] * copies, [10.0, 20.0] * copies]

    def test_rows_of_silent_inputs_are_not_read(self) -> None:
        """Cost follows spikes: NaN weights of silent inputs have no effect."""
        builder = Builder(6)
        machine = executor(builder, builder.linear(builder.input(), np.ones((8, 6))))
        machine.program.params[2 * 8 : 4 * 8] = np.nan  # stored one row per input
        assert machine.run([[1, 1, 0, 0, 1, 1]]).tolist() == [[4.0] * 8]
        assert np.isnan(machine.run([[1, 1, 1, 0, 1, 1]])).all()

    @pytest.mark.parametrize("position", [*range(5), 30, 31, 32, 63, 64, 68])
    @pytest.mark.parametrize("others", [0, 1])
    @pytest.mark.parametrize("n_out", [3, 9])
    def test_nan_and_infinity_stay_visible(self, position: int, others: int, n_out: int) -> None:
        builder = Builder(69)
        machine = executor(builder, builder.linear(builder.input(), np.ones((n_out, 69))))
        x = np.full((2, 69), others, np.float32)
        x[0, position], x[1, position] = np.nan, np.inf
        y = machine.run(x)
        assert np.isnan(y[0]).all()
        assert (y[1] == np.inf).all()


class TestScale:
    @pytest.mark.parametrize("n", [1, 2, 7, 96])
    def test_layer_norm_is_that_of_torch(self, n: int) -> None:
        x, weight, bias = 3 * normal(50, n) + 2, normal(n, seed=1), normal(n, seed=2)
        x[3] = 0.7  # no variance: epsilon decides
        builder = Builder(n)
        y = executor(builder, builder.layer_norm(builder.input(), weight, bias, 1e-5)).run(x)
        want = torch.nn.functional.layer_norm(torch.from_numpy(x).double(), (n,), eps=1e-5).numpy()
        np.testing.assert_allclose(y, want * weight + bias, rtol=0, atol=1e-4)

    def test_affine_rounds_after_every_operation(self) -> None:
        x, scale, shift = normal(200, 33), normal(33, seed=1), normal(33, seed=2)
        builder = Builder(33)
        row = builder.input()
        y = executor(builder, builder.affine(row, scale, shift), builder.affine(row, scale)).run(x)
        assert np.array_equal(y, np.hstack([x * scale + shift, x * scale]))

    def test_binarise_marks_positive_channels(self) -> None:
        builder = Builder(7)
        y = executor(builder, builder.binarise(builder.input())).run([[-1, -0.0, 0, 1e-30, 1, 5, np.nan]])
        assert y.tolist() == [[0, 0, 0, 1, 1, 1, 0]]

    @pytest.mark.parametrize(("step", "limit"), [(1.0, 15.0), (0.0625, 4.0), (2.0, 2.0)])
    def test_quantise_is_torchs_rounding(self, step: float, limit: float) -> None:
        x = np.concatenate([np.arange(-40, 40) * step / 2, 3 * limit * normal(200), [np.inf, -np.inf, np.nan]])
        builder = Builder(1)
        y = executor(builder, builder.quantise(builder.input(), step, -limit, limit)).run(x[:, None])[:, 0]
        want = (torch.round(torch.from_numpy(x.astype(np.float32)) / step) * step).clamp(-limit, limit)
        assert np.array_equal(y, want.numpy(), equal_nan=True)
        assert np.isnan(y[-1])


class TestLstm:
    @pytest.mark.parametrize("n", [1, 5, 32])
    def test_cell_is_that_of_torch(self, n: int) -> None:
        torch.manual_seed(n)
        cell = torch.nn.LSTMCell(3, n).double()
        x = 3 * normal(100, 3)
        p = {name: value.detach().numpy() for name, value in cell.named_parameters()}
        builder = Builder(3)
        hidden, memory = builder.state("h", np.zeros(n)), builder.state("c", np.zeros(n))
        gates = builder.linear(builder.input(), p["weight_ih"], p["bias_ih"] + p["bias_hh"])
        builder.linear(hidden, p["weight_hh"], onto=gates)
        machine = executor(builder, builder.lstm_cell(gates, hidden, memory), memory)
        h = c = torch.zeros(1, n, dtype=torch.float64)
        want = []
        with torch.no_grad():
            for row in torch.from_numpy(x).double():
                h, c = cell(row[None], (h, c))
                want.append(torch.cat([h, c], 1).numpy()[0])
        np.testing.assert_allclose(machine.run(x), want, rtol=0, atol=2e-6)

    def test_nan_stays_visible(self) -> None:
        builder = Builder(4)
        hidden, memory = builder.state("h", [0.0]), builder.state("c", [0.0])
        machine = executor(builder, builder.lstm_cell(builder.input(), hidden, memory))
        for gate in range(4):
            machine.reset()
            x = np.zeros((2, 4), np.float32)
            x[0, gate] = np.nan
            assert np.isnan(machine.run(x)[0, 0])


def lif_reference(
    current: np.ndarray, beta: np.ndarray, threshold: np.ndarray, reset: int
) -> tuple[np.ndarray, np.ndarray]:
    """One operation at a time in float32, as the exact kernels promise to round."""
    membrane = np.zeros(current.shape[1], np.float32)
    spikes, membranes = [], []
    for row in current:
        fired = membrane > threshold
        if reset == RESET_ZERO:
            membrane = np.where(fired, np.float32(0), membrane)
        membrane = beta * membrane + row
        if reset == RESET_SUBTRACT:
            membrane = membrane - np.where(fired, threshold, np.float32(0))
        spikes.append(membrane > threshold)
        membranes.append(membrane)
    return np.array(spikes, np.float32), np.array(membranes)


class TestSpiking:
    @pytest.mark.parametrize("reset", [RESET_NONE, RESET_SUBTRACT, RESET_ZERO])
    @pytest.mark.parametrize("shared", [True, False])
    def test_lif_is_exact(self, reset: int, shared: bool) -> None:
        n = 9
        rng = np.random.default_rng(0)
        size = () if shared else (n,)
        beta, threshold = (rng.uniform(a, b, size).astype(np.float32) for a, b in ((0.5, 1.0), (0.3, 1.0)))
        current = 0.5 * normal(400, n)
        builder = Builder(n)
        membrane = builder.state("m", np.zeros(n))
        machine = executor(builder, builder.lif(builder.input(), membrane, beta, threshold, reset), membrane)
        spikes, membranes = lif_reference(current, beta, threshold, reset)
        assert 0.05 < spikes.mean() < 0.6
        assert np.array_equal(machine.run(current), np.hstack([spikes, membranes]))

    def test_a_spike_needs_more_than_the_threshold(self) -> None:
        above = float(np.nextafter(np.float32(0.5), np.float32(1)))
        builder = Builder(2)
        membrane = builder.state("m", np.zeros(2))
        machine = executor(builder, builder.lif(builder.input(), membrane, 1.0, 0.5, RESET_SUBTRACT), membrane)
        spikes, membranes = np.split(machine.run([[0.5, above], [0.0, 0.0]]), 2, axis=1)
        assert spikes.tolist() == [[0, 1], [0, 0]]
        assert membranes[1].tolist() == [0.5, np.float32(above) - np.float32(0.5)], "the reset comes one bin later"

    @pytest.mark.parametrize("shared", [True, False])
    def test_leaky_integrator_is_exact(self, shared: bool) -> None:
        beta = np.float32(0.8) if shared else np.float32([0.1, 0.8, 1.0])
        current = normal(300, 3)
        builder = Builder(3)
        y = executor(builder, builder.leaky_integrator(builder.input(), builder.state("m", np.zeros(3)), beta))
        unreachable = np.full(3, np.inf, np.float32)
        want = lif_reference(current, np.broadcast_to(beta, 3), unreachable, RESET_NONE)[1]
        assert np.array_equal(y.run(current), want)

    def test_resonate_fire_rounds_after_every_operation(self) -> None:
        n = 7
        rng = np.random.default_rng(0)
        size, angle = rng.uniform(0.5, 0.99, n), rng.uniform(-3, 3, n)
        a = np.float32([size * np.cos(angle), size * np.sin(angle)])
        eta = rng.uniform(0.1, 1.0, n).astype(np.float32)
        drive = normal(400, 2 * n)
        builder = Builder(2 * n)
        z = builder.state("z", np.zeros(2 * n))
        machine = executor(builder, builder.resonate_fire(builder.input(), z, [*a, eta]), z)
        re, im, want = np.zeros(n, np.float32), np.zeros(n, np.float32), []
        for row in drive:
            d_re, d_im = eta * row[:n], eta * row[n:]
            re, im = (a[0] * re - a[1] * im) + d_re, (a[0] * im + a[1] * re) + d_im
            want.append([re > 1, re, im])
        assert 0.05 < np.mean([spikes for spikes, *_ in want]) < 0.6
        assert np.array_equal(machine.run(drive), np.array(want, np.float32).reshape(400, 3 * n))


class TestBoxcar:
    @pytest.mark.parametrize("width", [1, 2, 3, 8, 33])
    @pytest.mark.parametrize("n", [1, 5])
    def test_sum_of_the_last_bins(self, width: int, n: int) -> None:
        counts = np.random.default_rng(0).poisson(2, (4 * width + 7, n))
        builder = Builder(n)
        y = executor(builder, builder.boxcar(builder.input(), width)).run(counts)
        padded = np.concatenate([np.zeros((width - 1, n)), counts])
        assert np.array_equal(y, sliding_window_view(padded, width, 0).sum(-1))

    def test_rounding_does_not_accumulate(self) -> None:
        """1e5 bins of numbers whose running sum cannot be exact."""
        width = 7
        x = (1e3 * normal(100_000, 1)).astype(np.float32)
        builder = Builder(1)
        y = executor(builder, builder.boxcar(builder.input(), width)).run(x)[width:, 0]
        want = sliding_window_view(x[1:, 0].astype(np.float64), width).sum(-1)
        error = np.abs(y - want)
        assert error.max() < 5e-3
        assert error[-1000:].max() < 2 * error[:1000].max(), "the error grows with time"

    def test_nan_leaves_with_the_window(self) -> None:
        builder = Builder(1)
        machine = executor(builder, builder.boxcar(builder.input(), 4))
        for at in range(4):
            machine.reset()
            x = np.ones((30, 1), np.float32)
            x[8 + at] = np.nan
            y = machine.run(x)[:, 0]
            assert np.isnan(y[8 + at : 12 + at]).all()
            assert (y[4 : 8 + at] == 4).all()
            assert (y[16:] == 4).all(), "at the latest one turn of the ring later the sum is whole again"


class TestFir:
    @pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8, 13, 32])
    @pytest.mark.parametrize("n", [1, 2, 9])
    def test_is_the_filter_of_scipy_once_warm(self, width: int, n: int) -> None:
        taps, x = normal(width), normal(3 * width + 20, n, seed=1)
        builder = Builder(n)
        y = executor(builder, builder.fir(builder.input(), taps)).run(x)
        want = lfilter(taps[::-1].astype(np.float64), [1.0], x, axis=0)
        np.testing.assert_allclose(y[width - 1 :], want[width - 1 :], rtol=0, atol=1e-5)
        assert np.array_equal(y[: width - 1], x[: width - 1]), "before its block is full the filter passes through"

    def test_result_does_not_depend_on_the_rings_position(self) -> None:
        taps, block = normal(11), normal(11, 3, seed=1)
        builder = Builder(3)
        machine = executor(builder, builder.fir(builder.input(), taps))
        results = []
        for lead in range(12):
            machine.reset()
            machine.run(normal(lead, 3, seed=2))
            results.append(machine.run(block)[-1])
        assert all(np.array_equal(result, results[0]) for result in results)

    def test_nan_leaves_with_the_window(self) -> None:
        builder = Builder(1)
        x = np.ones((20, 1), np.float32)
        x[7] = np.nan
        y = executor(builder, builder.fir(builder.input(), np.full(5, 0.2))).run(x)[:, 0]
        assert np.flatnonzero(np.isnan(y)).tolist() == [7, 8, 9, 10, 11]


class TestMove:
    def test_columns_and_copies(self) -> None:
        builder = Builder(4)
        builder._n_outputs = 3
        a, b = builder.scratch(2), builder.scratch(3)
        builder.emit(INPUT, dst=a, n=2, column=2)
        builder.emit(INPUT, dst=b, n=3, column=0)
        builder.emit(COPY, dst=Slot(b.region, b.offset + 1, 2), src=a, n=2)
        builder.emit(OUTPUT, src=a, n=1, column=2)
        builder.emit(OUTPUT, src=b, n=2, column=0)
        assert Executor(builder.build()).run([[1, 2, 3, 4], [5, 6, 7, 8]]).tolist() == [[1, 3, 3], [5, 7, 7]]
