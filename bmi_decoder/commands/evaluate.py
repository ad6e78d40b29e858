"""``bmi-decoder evaluate``: how good a bundle is on a recording."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bmi_decoder.bundle import read_bundle
from bmi_decoder.commands.options import add_json, say, write_json
from bmi_decoder.formats import read_recording


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser("evaluate", help="judge a bundle on a recording")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("recording", type=Path, metavar="RECORDING")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write a page with pictures here, DIR/index.html")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Judge the whole recording, or the test part of a recording that the bundle was trained on."""
    from bmi_decoder.evaluation.judgement import judge

    bundle = read_bundle(options.bundle)
    recording = read_recording(options.recording, bundle.manifest.bin_s)
    judgement = judge(bundle, recording)
    figures = judgement.figures
    if options.json != "-":
        print(
            f"bins {judgement.start} to {recording.n_bins}" + (": the part kept for testing" if judgement.seen else "")
        )
        for variant, values in figures["variants"].items():
            lag = "" if values["lag_s"] is None else f"   lag {values['lag_s'] * 1e3:.0f} ms"
            print(f"{variant:14} R2 {values['r2']:.3f}   causal {values['r2_causal']:.3f}{lag}")
        counted = figures["operations"]
        if counted is None:
            print(f"operations: {figures['operations_missing']}")
        else:
            print(
                f"per bin        {counted['macs']:,.0f} MAC, {counted['acs']:,.0f} AC of {counted['dense']:,.0f} dense "
                f"operations; {counted['footprint_bytes']:,} bytes"
            )
            print(f"bit budget     S-ACE {counted['s_ace']:,.0f}, NS-ACE {counted['ns_ace']:,.0f} per bin")
            steps = counted["inner_steps"]
            if steps is not None:
                print(f"inner steps    {steps['mean']:.1f} per bin, at most {steps['max']}")
    write_json(
        options.json,
        {
            "bundle": str(options.bundle),
            "decoder": bundle.manifest.decoder,
            "recording": recording.source,
            "trained_on_this_recording": judgement.seen,
            "start_bin": judgement.start,
            **figures,
        },
    )
    if options.report is not None:
        from bmi_decoder.evaluation.report.evaluation_page import evaluation_page
        from bmi_decoder.evaluation.report.page import write_page

        say(f"report: {write_page(options.report, evaluation_page(judgement, options.bundle.name))}")
    return 0
