"""The Legendre memory's instruction."""

from __future__ import annotations

import numpy as np
import pytest

from bmi_decoder.layers.legendre import legendre_matrices
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor


@pytest.mark.parametrize(("n", "order"), [(1, 1), (3, 4), (20, 7)])
def test_each_input_has_its_own_memory_and_rounding_is_in_the_order_of_the_coefficients(n: int, order: int) -> None:
    abar, bbar = (matrix.astype(np.float32) for matrix in legendre_matrices(order, 9.0))
    builder = Builder(n)
    memory = builder.state("memory", np.zeros(n * order))
    after = builder.legendre(memory, builder.input(), abar, bbar)
    builder.assign(memory, after)
    builder.output(after)
    x = np.random.default_rng(0).standard_normal((200, n)).astype(np.float32)
    got = Executor(builder.build()).run(x).reshape(200, order, n)

    exact, rounded = np.zeros((order, n)), np.zeros((order, n), np.float32)
    for t in range(200):
        exact = abar.astype(np.float64) @ exact + np.outer(bbar, x[t])
        total = bbar[:, None] * x[t]
        for k in range(order):
            total = total + abar[:, k : k + 1] * rounded[k]
        rounded = total
        assert np.array_equal(got[t], rounded)
        np.testing.assert_allclose(got[t], exact, rtol=0, atol=1e-4)


def test_parts_of_a_vector_lie_one_behind_the_other() -> None:
    builder = Builder(6)
    first, second, third = builder.input().cut(1, 3, 2)
    for part in (third, first, second):
        builder.output(part)
    assert Executor(builder.build()).run([[1, 2, 3, 4, 5, 6]]).tolist() == [[5, 6, 1, 2, 3, 4]]
