"""Comparisons of decoders that are trained for a moment."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bmi_decoder.cli import main
from bmi_decoder.comparison.compare import Failure, Run, compare
from bmi_decoder.comparison.entrant import Entrant, parse_entrants
from bmi_decoder.comparison.ranking import Figure, as_json, rank
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.report.comparison_page import comparison_page
from bmi_decoder.formats import write_npz
from tests.evaluation.report.test_pages import checked
from tests.evaluation.support import recording

QUICK = {"updates": 1, "lstm.hidden": 4, "snn_streaming.hidden1": 6, "snn_streaming.hidden2": 4}


def entrants(*names: str) -> list[Entrant]:
    return parse_entrants(
        names, "best", {key: v for key, v in QUICK.items() if key.split(".")[0] in {"updates", *names}}
    )


def test_runs_are_done_once(tmp_path: Path) -> None:
    made, told = recording(1500), []
    names: list[str] = []

    def announce(entrant: Entrant, seed: int):  # type: ignore[no-untyped-def]
        names.append(f"{entrant.name} {seed}")
        return lambda epoch, total, score: told.append(epoch)

    both = entrants("lstm", "snn_streaming")
    runs, failures = compare(made, both, [0, 1], tmp_path, announce=announce)
    assert names == ["lstm 0", "snn_streaming 0", "lstm 1", "snn_streaming 1"]
    assert failures == [] and not any(run.reused for run in runs)
    assert len(list(tmp_path.glob("*.bmi"))) == 4
    epochs = len(told)
    assert epochs > 0

    again, _ = compare(made, both, [0, 1, 2], tmp_path, announce=announce)
    assert [run.reused for run in again] == [True] * 4 + [False] * 2
    assert len(told) == epochs * 3 // 2, "only the new seed was trained"
    for old, new in zip(runs, again, strict=False):
        assert old.figures["test"] == new.figures["test"]
        assert old.figures["operations"] == new.figures["operations"]

    damaged = again[0].path
    damaged.write_bytes(b"not a bundle")
    repaired, _ = compare(made, both[:1], [0], tmp_path)
    assert not repaired[0].reused
    assert repaired[0].figures["test"] == runs[0].figures["test"]


def test_a_run_that_fails_does_not_end_the_others(tmp_path: Path) -> None:
    broken = Entrant("broken", "lstm", "best", {"learning_rate": 1e30, "warm_up": 0, "hidden": 4})
    runs, failures = compare(recording(1500), [broken, *entrants("snn_streaming")], [0], tmp_path)
    assert [run.entrant.name for run in runs] == ["snn_streaming"]
    assert [(failure.entrant.name, failure.seed) for failure in failures] == [("broken", 0)]
    assert "training loss is" in failures[0].reason
    html = comparison_page(recording(1500), rank(runs), failures)
    checked(html)
    assert "Runs that failed" in html


def test_wrong_settings_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    wrong = Entrant("wrong", "lstm", "best", {"hidden": 4, "colour": "red"})
    with pytest.raises(InputError, match="colour"):
        compare(recording(1500), [*entrants("snn_streaming"), wrong], [0], tmp_path)
    assert list(tmp_path.iterdir()) == []


def made_up(name: str, seed: int, validation: float, test: float, counted: bool = True) -> Run:
    """A run with one filter that brings 0.01."""

    def variants(r2: float) -> dict[str, dict[str, float]]:
        return {
            variant: {"r2": r2 + gain, "r2_causal": r2 - gain, "lookahead_s": 10 * gain}
            for variant, gain in (("raw", 0.0), ("high_accuracy", 0.01))
        }

    operations = {"macs": 10.0, "acs": 5.0 + seed, "dense": 100.0, "footprint_bytes": 400}
    return Run(
        Entrant(name, name, "best"),
        seed,
        Path(f"{name}{seed}.bmi"),
        False,
        {
            "validation": variants(validation),
            "test": variants(test),
            "operations": operations if counted else None,
            "operations_missing": None if counted else "because",
            "bit_budget": {"bit_budget": 32.0, "s_ace": 3200.0, "ns_ace": 160.0 + seed} if counted else None,
            "filter_macs": {"raw": 0, "high_accuracy": 64},
            "memory": {},
            "speed": {"step_us": {"p50": 2.0, "p99": 3.0, "max": 9.0}},
            "training_s": 5.0,
        },
    )


def test_order_follows_validation_and_never_the_test_part() -> None:
    runs = [
        made_up("lucky", 0, 0.5, 0.9),
        made_up("lucky", 1, 0.5, 0.9),
        made_up("good", 0, 0.6, 0.7),
        made_up("good", 1, 0.7, 0.8),
        made_up("nothing", 0, math.nan, math.nan, counted=False),
    ]
    standings = rank(runs)
    assert [standing.entrant.name for standing in standings] == ["good", "lucky", "nothing"]
    good = standings[0]
    assert good.test["raw"].mean == pytest.approx(0.75)
    assert good.test["raw"].deviation == pytest.approx(math.sqrt(0.005))
    assert good.best_variant == "high_accuracy"
    assert good.operations == Figure(15.5, math.sqrt(0.5))
    assert good.ns_ace == Figure(160.5, math.sqrt(0.5))
    assert standings[2].operations is standings[2].ns_ace is None
    html = comparison_page(recording(100), standings, [])
    checked(html)
    assert html.index("good") < html.index("lucky")
    value = as_json(recording(100), standings, [Failure(runs[0].entrant, 4, "no")])
    assert "<h2>Bit budget</h2>" in html
    assert [decoder["rank"] for decoder in value["decoders"]] == [1, 2, 3]
    assert value["decoders"][0]["s_ace"] == {"mean": 3200.0, "deviation": 0.0}
    assert value["failed"] == [{"name": "lucky", "seed": 4, "reason": "no"}]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_npz(recording(1500), tmp_path / "r.npz")
    work, report, target = tmp_path / "work", tmp_path / "report", tmp_path / "out.json"
    options = ["--seeds", "1", "--set", "updates=1", "--set", "lstm.hidden=4", "--work", str(work)]
    command = ["compare", str(tmp_path / "r.npz"), "--decoders", "lstm,snn_streaming:paper", *options]
    assert main([*command, "--report", str(report), "--json", str(target)]) == 0
    printed = capsys.readouterr()
    assert "lstm" in printed.out and "snn_streaming:paper" in printed.out
    assert "2 runs, 0 of them from" in printed.err
    checked((report / "index.html").read_text())
    figures = json.loads(target.read_text())
    assert {decoder["name"] for decoder in figures["decoders"]} == {"lstm", "snn_streaming:paper"}
    assert main([*command, "--json", "-"]) == 0
    again = capsys.readouterr()
    assert all(run["reused"] for decoder in json.loads(again.out)["decoders"] for run in decoder["runs"])


@pytest.mark.parametrize("extra", [["--seeds", "0"], ["--decoders", "none_such"], ["--preset", "none_such"]])
def test_bad_usage_has_status_2(tmp_path: Path, extra: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    write_npz(recording(1500), tmp_path / "r.npz")
    assert main(["compare", str(tmp_path / "r.npz"), "--decoders", "lstm", *extra]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
