"""What each command writes and prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bmi_decoder.bundle import read_bundle
from bmi_decoder.cli import main
from bmi_decoder.commands.options import parse_assignments, parse_input_filter, parse_split, write_json
from bmi_decoder.config import InputFilterSettings, SplitSettings
from bmi_decoder.decoders.registry import decoder_class, decoder_names
from bmi_decoder.formats import read_recording, write_npz
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.simulation import PopulationSettings, SubjectSettings, simulate
from tests.commands.conftest import FEW_STEPS, Files

Capture = pytest.CaptureFixture[str]


def run(*arguments: str | Path) -> None:
    assert main([str(argument) for argument in arguments]) == 0


class TestSimulate:
    def test_writes_the_recording_that_the_library_makes(self, tmp_path: Path, capsys: Capture) -> None:
        path = tmp_path / "s.npz"
        run("simulate", path, "--seconds", "2", "--channels", "5", "--bin-ms", "10", "--subject", "3", "--seed", "7")
        population = PopulationSettings(n_channels=5)
        want = simulate(SubjectSettings(subject_seed=3, seed=7, bin_s=0.01, population=population), 2.0)
        assert read_recording(path).fingerprint() == want.fingerprint()
        assert capsys.readouterr().err == f"{path}: 200 bins of 5 channels\n"

    def test_equal_arguments_give_equal_files(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            run("simulate", tmp_path / f"{name}.npz", "--seconds", "1", "--channels", "4")
        assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


class TestTrain:
    def test_tells_what_it_reached(self, files: Files, tmp_path: Path, capsys: Capture) -> None:
        out = tmp_path / "new" / "lstm.bmi"
        run("train", files.recording, "--decoder", "lstm", "--out", out, *FEW_STEPS, "--json", tmp_path / "t.json")
        stdout, stderr = capsys.readouterr()
        assert stdout == ""
        lines = stderr.splitlines()
        assert lines[0].startswith(f"{out}: lstm, trained in ")
        assert [line.split()[:3] for line in lines[1:]] == [
            ["raw", "test", "R2"],
            ["low_latency", "test", "R2"],
            ["high_accuracy", "test", "R2"],
        ]
        manifest = read_bundle(out).manifest
        told = json.loads((tmp_path / "t.json").read_text())
        assert told["bundle"] == str(out)
        assert told["hyper_parameters"] == manifest.hyper_parameters
        assert told["metrics"]["test"]["raw"]["r2"] == manifest.metrics["test"]["raw"]["r2"]

    def test_json_on_standard_output_is_all_there_is(self, files: Files, tmp_path: Path, capsys: Capture) -> None:
        arguments = ("--decoder", "lstm", "--out", tmp_path / "b.bmi", *FEW_STEPS, "--json", "-")
        run("train", files.recording, *arguments)
        assert json.loads(capsys.readouterr().out)["decoder"] == "lstm"

    def test_every_option_arrives(self, files: Files, tmp_path: Path) -> None:
        out = tmp_path / "b.bmi"
        run(
            *("train", files.recording, "--decoder", "snn_streaming", "--out", out, "--preset", "paper"),
            *("--set", "epochs=2", "--set", "hidden1=6", "--split", "0.6,0.2,0.2", "--seed", "9", "--bin-ms", "8"),
            *("--input-filter", "high_accuracy:cutoff_hz=10,order=2,width=12,boundary=gust"),
        )
        manifest = read_bundle(out).manifest
        assert (manifest.decoder, manifest.bin_s) == ("snn_streaming", 0.008)
        assert manifest.hyper_parameters["hidden1"] == 6
        assert manifest.input_filter == InputFilterSettings(
            variant="high_accuracy", cutoff_hz=10, order=2, width=12, boundary="gust"
        )
        training = manifest.training
        assert (training.preset, training.seed, training.split) == ("paper", 9, (0.6, 0.2, 0.2))
        assert training.recipe["epochs"] == training.epochs == 2

    def test_pretraining_on_two_sessions(self, files: Files, tmp_path: Path) -> None:
        names = [tmp_path / f"{seed}.npz" for seed in (1, 2)]
        for seed, name in enumerate(names, 1):
            run("simulate", name, "--seconds", "5", "--channels", "8", "--seed", str(seed))
        run(
            *("train", files.recording, "--decoder", "lstm", "--out", tmp_path / "b.bmi", *FEW_STEPS, "--bin-ms", "8"),
            *("--pretrain-on", names[0], "--pretrain-on", names[1]),
            *("--pretrain-set", "epochs=2", "--fine-tune-rate", "0.5"),
        )
        training = read_bundle(tmp_path / "b.bmi").manifest.training
        early = training.pretraining
        assert early is not None
        assert [one.source for one in early.sessions] == [f"simulated subject 0, seed {seed}" for seed in (1, 2)]
        assert (early.epochs, early.fine_tune_rate, training.epochs) == (2, 0.5, 1)
        assert training.recipe["learning_rate"] == 0.5 * early.recipe["learning_rate"]

    def test_equal_seeds_give_equal_decoders(self, files: Files, tmp_path: Path) -> None:
        arguments = ("train", files.recording, "--decoder", "lstm", *FEW_STEPS)
        run(*arguments, "--out", tmp_path / "a.bmi")
        run(*arguments, "--out", tmp_path / "b.bmi", "--seed", "1")
        first, other = (read_bundle(tmp_path / name).weights for name in ("a.bmi", "b.bmi"))
        assert first == read_bundle(files.bundle).weights
        assert first != other


class TestEvaluate:
    def evaluated(self, *arguments: str | Path, capsys: Capture) -> dict[str, Any]:
        capsys.readouterr()
        run("evaluate", *arguments, "--json", "-")
        return json.loads(capsys.readouterr().out)

    def test_on_the_recording_it_was_trained_on_only_the_test_part_counts(self, files: Files, capsys: Capture) -> None:
        found = self.evaluated(files.bundle, files.recording, capsys=capsys)
        assert found["trained_on_this_recording"] is True
        assert found["start_bin"] == 1200
        assert found["variants"] == read_bundle(files.bundle).manifest.metrics["test"]

    @pytest.mark.parametrize("n_bins", [1001, 1002, 1003])
    def test_the_test_part_is_that_of_the_training_to_the_bin(
        self, n_bins: int, files: Files, tmp_path: Path, capsys: Capture
    ) -> None:
        write_npz(read_recording(files.recording).slice(0, n_bins), tmp_path / "r.npz")
        split = ("--split", "0.65,0.15,0.2")
        run("train", tmp_path / "r.npz", "--decoder", "lstm", "--out", tmp_path / "b.bmi", *FEW_STEPS, *split)
        found = self.evaluated(tmp_path / "b.bmi", tmp_path / "r.npz", capsys=capsys)
        assert found["variants"] == read_bundle(tmp_path / "b.bmi").manifest.metrics["test"]

    def test_on_another_recording_everything_counts(self, files: Files, tmp_path: Path, capsys: Capture) -> None:
        run("simulate", tmp_path / "other.npz", "--seconds", "3", "--channels", "8", "--seed", "1")
        found = self.evaluated(files.bundle, tmp_path / "other.npz", capsys=capsys)
        assert (found["trained_on_this_recording"], found["start_bin"]) == (False, 0)
        assert found["variants"]["raw"]["bins"] == 750
        assert found["recording"] == "simulated subject 0, seed 1"

    def test_prints_a_line_per_variant(self, files: Files, capsys: Capture) -> None:
        run("evaluate", files.bundle, files.recording)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "bins 1200 to 1500: the part kept for testing"
        assert [line.split()[0] for line in lines[1:4]] == ["raw", "low_latency", "high_accuracy"]
        assert " operations; " in lines[4] and lines[4].endswith(" bytes")

    def test_the_recording_is_read_with_the_decoders_bins(self, files: Files, tmp_path: Path, capsys: Capture) -> None:
        arguments = ("--decoder", "lstm", "--out", tmp_path / "b.bmi", *FEW_STEPS, "--bin-ms", "8")
        run("train", files.recording, *arguments)
        found = self.evaluated(tmp_path / "b.bmi", files.recording, capsys=capsys)
        assert found["trained_on_this_recording"] is True
        assert found["variants"]["raw"]["bins"] == 150

    def test_another_number_of_channels_is_refused(self, files: Files, tmp_path: Path, capsys: Capture) -> None:
        run("simulate", tmp_path / "other.npz", "--seconds", "1", "--channels", "9")
        capsys.readouterr()
        assert main(["evaluate", str(files.bundle), str(tmp_path / "other.npz")]) == 2
        assert "has 9 channels, the decoder was trained on 8" in capsys.readouterr().err


class TestDecode:
    def decoded(self, files: Files, recording: Path, out: Path) -> dict[str, np.ndarray]:
        run("decode", files.bundle, recording, "--out", out)
        with np.load(out, allow_pickle=False) as arrays:
            return dict(arrays)

    def test_writes_what_the_pipeline_gives(self, files: Files, tmp_path: Path, capsys: Capture) -> None:
        found = self.decoded(files, files.recording, tmp_path / "d.npz")
        assert "1500 bins, raw, low_latency, high_accuracy" in capsys.readouterr().err
        pipeline, recording = Pipeline(read_bundle(files.bundle)), read_recording(files.recording)
        want = pipeline.decode(recording)
        for v, variant in enumerate(("raw", "low_latency", "high_accuracy")):
            assert found[variant].dtype == np.float32
            assert np.array_equal(found[variant], want[:, v])
        assert found["outputs"].tolist() == ["x_velocity", "y_velocity"]
        assert found["units"].tolist() == ["m/s", "m/s"]
        np.testing.assert_allclose(found["t_source"], recording.t0 + 0.004 * np.arange(1, 1501))

    def test_times_are_those_that_an_output_describes(self, files: Files, tmp_path: Path) -> None:
        """While a filter passes its input through, its output is not late."""
        recording = read_recording(files.recording)
        parts = recording.slice(0, 1500).spans
        assert parts == ((0, 1500),)
        write_npz(type(recording)(
            recording.counts, recording.kinematics, recording.outputs, recording.bin_s, segments=((0, 600), (600, 1500))
        ), tmp_path / "two.npz")  # fmt: skip
        found = self.decoded(files, tmp_path / "two.npz", tmp_path / "d.npz")
        pipeline = Pipeline(read_bundle(files.bundle))
        assert np.array_equal(found["t_valid_raw"], found["t_source"])
        late = np.rint((found["t_source"] - found["t_valid_high_accuracy"]) / 0.004)
        warm_up, lookahead = pipeline.warm_up[2], pipeline.lookahead[2]
        assert lookahead > 0
        for start, stop in ((0, 600), (600, 1500)):
            assert not late[start : start + warm_up].any()
            assert (late[start + warm_up : stop] == lookahead).all()

    def test_the_file_has_the_name_that_was_asked_for(self, files: Files, tmp_path: Path) -> None:
        self.decoded(files, files.recording, tmp_path / "decoded.data")
        assert [path.name for path in tmp_path.iterdir()] == ["decoded.data"]


class TestDecoders:
    def test_lists_what_is_registered(self, capsys: Capture) -> None:
        run("decoders")
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == decoder_names()
        for line, name in zip(lines, decoder_names(), strict=True):
            assert decoder_class(name).summary in line
            assert "best" in line

    def test_json_has_everything_that_can_be_set(self, capsys: Capture) -> None:
        run("decoders", "--json", "-")
        listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)["decoders"]}
        assert list(listed) == decoder_names()
        assert listed["lstm"]["presets"]["paper"].items() >= {"hidden": 32, "boxcar": 8, "learning_rate": 5e-3}.items()


class TestOptions:
    def test_values_are_numbers_booleans_null_or_text(self) -> None:
        pairs = ["a=1", "b=0.5", "c=true", "d=null", "e=odd", "f=1e-3", "g=", "h=a=b", 'i="7"', "j=[1, 2]"]
        want = {
            "a": 1,
            "b": 0.5,
            "c": True,
            "d": None,
            "e": "odd",
            "f": 1e-3,
            "g": "",
            "h": "a=b",
            "i": "7",
            "j": [1, 2],
        }
        found = parse_assignments(pairs)
        assert found == want
        assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in want.items()}

    @pytest.mark.parametrize(
        ("text", "settings"),
        [
            (None, None),
            ("none", None),
            ("low_latency", InputFilterSettings(cutoff_hz=6.25)),
            ("high_accuracy:", InputFilterSettings(cutoff_hz=6.25, variant="high_accuracy")),
            ("low_latency:cutoff_hz=3,width=8,order=1", InputFilterSettings(cutoff_hz=3, width=8, order=1)),
        ],
    )
    def test_input_filters(self, text: str | None, settings: InputFilterSettings | None) -> None:
        assert parse_input_filter(text) == settings

    def test_splits(self) -> None:
        assert parse_split("0.5,0.25,0.25") == SplitSettings(train=0.5, validation=0.25, test=0.25)

    def test_json_has_null_for_what_is_not_finite(self, tmp_path: Path, capsys: Capture) -> None:
        value = {"a": float("nan"), "b": [1.5, float("inf")], "c": {"d": (float("-inf"), "x")}}
        write_json("-", value)
        write_json(str(tmp_path / "v.json"), value)
        write_json(None, value)
        out = capsys.readouterr().out
        want = {"a": None, "b": [1.5, None], "c": {"d": [None, "x"]}}
        assert json.loads(out) == json.loads((tmp_path / "v.json").read_text()) == want
