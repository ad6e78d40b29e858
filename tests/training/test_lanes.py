from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bmi_decoder.training.lanes import lanes, n_windows


def cut(n_bins: int, n_lanes: int, window: int, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Lanes of a stream whose values are the bins' numbers."""
    x = torch.arange(n_bins)[:, None].repeat(1, 3)
    y = 10 * torch.arange(n_bins)[:, None]
    return list(lanes(x, y, n_lanes, window, torch.Generator().manual_seed(seed)))


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(1, 40), st.integers(1, 60), st.integers(0, 1000))
def test_every_bin_comes_at_most_once_in_the_order_of_time(n_bins: int, n_lanes: int, window: int, seed: int) -> None:
    windows = cut(n_bins, n_lanes, window, seed)
    assert len(windows) == n_windows(n_bins, n_lanes, window)
    assert all(x.shape[1] == window for x, _ in windows[:-1])
    stream = torch.cat([x[..., 0] for x, _ in windows], 1)
    assert stream.unique().numel() == stream.numel(), "a bin is seen twice in one pass"
    n_left_out = n_bins - stream.numel()
    assert 0 <= n_left_out < stream.shape[0]
    assert bool(((stream[:, 1:] - stream[:, :-1]) % n_bins == 1 % n_bins).all()), "a lane's state would jump in time"
    for x, y in windows:
        assert torch.equal(10 * x[..., 0], y[..., 0]), "input and target of different bins"
        assert bool((x == x[..., :1]).all())


def test_as_many_lanes_as_fill_a_window() -> None:
    assert cut(1000, 8, 50)[0][0].shape[:2] == (8, 50)
    assert cut(1000, 32, 50)[0][0].shape[:2] == (20, 50)
    assert cut(30, 32, 50)[0][0].shape[:2] == (1, 30)


def test_borders_fall_elsewhere_in_every_pass() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.arange(500)[:, None]
    starts = {int(next(lanes(x, x, 4, 50, generator))[0][0, 0, 0]) for _ in range(20)}
    assert len(starts) > 15


def test_the_generator_decides() -> None:
    first, again, other = (cut(500, 4, 50, seed) for seed in (1, 1, 2))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0][0], other[0][0])


@pytest.mark.parametrize("window", [50, 64])
def test_only_the_last_window_is_shorter(window: int) -> None:
    lengths = [x.shape[1] for x, _ in cut(1000, 3, window)]
    assert sum(lengths) == 333
    assert set(lengths[:-1]) == {window}
