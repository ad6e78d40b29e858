"""Steps of decoders without a program, from anyone: what is not one is refused before it runs live."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bmi_decoder.errors import BundleError, InputError
from bmi_decoder.machine.builder import Builder
from bmi_decoder.machine.executor import Executor
from bmi_decoder.machine.verify import MAX_ARENA
from bmi_decoder.onnx_executor import INITIAL, OnnxExecutor
from tests.decoders.plugin import SmoothDecoder

N_CHANNELS, N_OUTPUTS = 3, 2


def step(
    x: tuple[str, Any] = ("x", [1, N_CHANNELS]),
    state: tuple[str, Any] = ("s", [1, N_OUTPUTS]),
    y: tuple[str, Any] = ("y", [1, N_OUTPUTS]),
    kind: int = TensorProto.FLOAT,
    nodes: list[Any] | None = None,
    metadata: dict[str, str] | None = None,
    columns: int = N_OUTPUTS,
) -> bytes:
    """``y = s + W x``, and the next state is y; with one thing or another changed."""
    weight = np.arange(1, N_CHANNELS * columns + 1, dtype=np.float32).reshape(N_CHANNELS, columns)
    if nodes is None:
        nodes = [
            helper.make_node("MatMul", [x[0], "W"], ["p"]),
            helper.make_node("Add", ["p", state[0]], [y[0]]),
            helper.make_node("Identity", [y[0]], ["next"]),
        ]

    def value(name: str, shape: Any, kind: int = TensorProto.FLOAT) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    graph = helper.make_graph(
        nodes,
        "step",
        [value(*x), value(*state, kind)],
        [value(*y), value("next", None, kind)],
        [helper.make_tensor("W", TensorProto.FLOAT, weight.shape, weight.ravel())],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, metadata or {})
    return model.SerializeToString()


def executor(data: bytes) -> OnnxExecutor:
    back = Builder(N_OUTPUTS)
    back.output(back.input())
    return OnnxExecutor(data, N_CHANNELS, N_OUTPUTS, None, Executor(back.build()))


def initial(values: Any) -> dict[str, str]:
    return {INITIAL + "s": base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()}


def test_runs_bin_by_bin_with_its_state() -> None:
    machine = executor(step())
    assert machine.run([[1, 0, 0], [0, 1, 0], [0, 0, 0]]).tolist() == [[1, 2], [4, 6], [4, 6]]
    assert machine.state().tolist() == [4, 6]
    machine.reset()
    assert machine.run([[0, 0, 1]]).tolist() == [[5, 6]]
    assert machine.run(np.zeros((0, 3))).shape == (0, 2)


def test_a_first_state_in_the_metadata_is_where_it_starts() -> None:
    machine = executor(step(metadata=initial([10, 20])))
    assert machine.state().tolist() == [10, 20]
    assert machine.run([[1, 0, 0]]).tolist() == [[11, 22]]
    machine.reset()
    assert machine.run([[1, 0, 0]]).tolist() == [[11, 22]]


@pytest.mark.parametrize("text", ["no base64!", "AAAA", ""])
def test_a_first_state_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(BundleError, match="initial state s cannot be read"):
        executor(step(metadata={INITIAL + "s": text}))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cannot be loaded"),
        (b"the step", "cannot be loaded"),
        (step()[:-20], "cannot be loaded"),
        (step(x=("input", [1, 3])), "must map x and the states to y and the next states"),
        (step(y=("z", [1, 2])), "must map x and the states to y and the next states"),
        (step(x=("x", [1, 4]), y=("y", None), nodes=[
            helper.make_node("ReduceSum", ["x"], ["y"]), helper.make_node("Identity", ["s"], ["next"]),
        ]), r"takes x of shape \[1, 4\], the manifest says \[1, 3\]"),
        (step(x=("x", ["batch", 3])), "x must be float32 of a fixed shape"),
        (step(state=("s", [1, "n"])), "s must be float32 of a fixed shape"),
        (step(kind=TensorProto.INT64, nodes=[
            helper.make_node("MatMul", ["x", "W"], ["y"]), helper.make_node("Identity", ["s"], ["next"]),
        ]), "s must be float32 of a fixed shape, got tensor.int64."),
        (step(columns=5, y=("y", None), state=("s", [1, 1])), r"gives y that is not float32 of shape \(1, 2\)"),
        (step(y=("y", None), nodes=[
            helper.make_node("MatMul", ["x", "W"], ["y"]), helper.make_node("Concat", ["s", "s"], ["next"], axis=0),
        ]), r"gives the next s that is not float32 of shape \(1, 2\)"),
        (step(y=("y", None), state=("s", [1, 7])), "cannot be"),
        (step(state=("s", [1, MAX_ARENA + 1]), nodes=[
            helper.make_node("MatMul", ["x", "W"], ["y"]), helper.make_node("Identity", ["s"], ["next"]),
        ]), f"has more than {MAX_ARENA} elements"),
    ],
)  # fmt: skip
def test_what_is_no_step_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=rf"^step.onnx.*{message}") as caught:
        executor(data)
    assert "\n" not in str(caught.value), "errors are one line"


@pytest.mark.parametrize("rows", [np.zeros((2, 4)), np.zeros(3), np.zeros((2, 3), complex), [["a", "b", "c"]]])
def test_rows_that_do_not_fit_are_refused(rows: Any) -> None:
    with pytest.raises(InputError, match=r"input must be numbers \(bins, 3\)"):
        executor(step()).run(rows)


def test_nan_stays_visible() -> None:
    machine = executor(step())
    assert np.isnan(machine.run([[np.nan, 0, 0]])).all()
    machine.reset()
    assert machine.run([[1, 0, 0]]).tolist() == [[1, 2]]


def test_exported_steps_carry_their_first_state_and_are_small() -> None:
    from bmi_decoder.training.export import export_onnx

    decoder = SmoothDecoder(N_CHANNELS, N_OUTPUTS)
    data = export_onnx(decoder)
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model)
    assert [entry.key for entry in model.metadata_props] == ["initial.average"]
    assert executor(data).state().tolist() == [0.25, 0.25]
    assert len(data) < 5000


def outside(location: str) -> bytes:
    """A step whose weights are said to be in a file."""
    model = onnx.load_from_string(step())
    (weight,) = model.graph.initializer
    weight.ClearField("raw_data")
    weight.ClearField("float_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    return model.SerializeToString()


@pytest.mark.parametrize("location", ["weights.bin", "/weights.bin", "../weights.bin", "{}/weights.bin"])
def test_weights_in_another_file_are_never_read(
    location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    np.arange(6, dtype="<f4").tofile(tmp_path / "weights.bin")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match=r"^step.onnx cannot be loaded: .*External data path"):
        executor(outside(location.format(tmp_path)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("domain", ["com.example", "ai.onnx.contrib"])
def test_operators_of_others_are_refused(domain: str) -> None:
    model = onnx.load_from_string(step())
    model.graph.node[0].domain = domain
    model.opset_import.add(domain=domain, version=1)
    with pytest.raises(BundleError, match=r"^step.onnx cannot be loaded: .*MatMul"):
        executor(model.SerializeToString())


def test_texts_that_are_none_are_refused(capfd: pytest.CaptureFixture[str]) -> None:
    data = step(metadata={"note": "abcdefgh"})
    for text in (b"abcdefgh", b"MatMul"):
        with pytest.raises(BundleError, match=r"^step.onnx cannot be loaded: "):
            executor(data.replace(text, b"\xff" * len(text)))
    assert capfd.readouterr() == ("", "")
