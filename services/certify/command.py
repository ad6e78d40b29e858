"""``bmi-decoder certify``: whether this machine and this rig are fit for a session."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from bmi_decoder.bundle import Bundle, read_bundle
from bmi_decoder.commands.options import add_json, check_output, positive_seconds, say, write_json
from bmi_decoder.commands.training_extra import require_training_extra
from bmi_decoder.errors import BmiError, InputError
from services.bench.host import host
from services.bench.untrained import untrained_bundle
from services.certify.compiled import WARM, check_compiled, compiled_facts
from services.certify.disk import check_disk, disk_facts
from services.certify.finding import Finding, passed
from services.certify.limits import Limits
from services.certify.loop import LoopFacts, check_loop, loop_facts
from services.certify.manifest import RigManifest, expect, read_manifest, write_manifest
from services.certify.memory import check_memory, memory_facts
from services.certify.page import certify_page, write_certificate
from services.certify.processor import check_processor, processor_facts
from services.certify.rights import check_rights, rights_facts
from services.certify.table import findings_table, verdict_line
from services.data_directory import DATA_VARIABLE, default_data_dir
from services.demo.bundle import demo_bundle
from services.ingest.lsl import configure_lsl

_SHAPE = 250.0, 96
_WIDTH = 120


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        "certify",
        help="check this machine and this rig before a session",
        description="Check the machine, LSL, the streams of the rig, and time the decoder. Takes less than a minute.",
    )
    manifest = parser.add_mutually_exclusive_group()
    manifest.add_argument("--manifest", type=Path, metavar="FILE", help="streams that the rig must have, in YAML")
    manifest.add_argument(
        "--write-manifest", type=Path, metavar="FILE", help="write the streams that are visible now, check nothing"
    )
    decoder = parser.add_mutually_exclusive_group()
    decoder.add_argument("--bundle", type=Path, metavar="FILE", help="time this decoder, and see if the rig feeds it")
    decoder.add_argument(
        "--decoder",
        metavar="NAME",
        help="time this one with initial weights, in the shape of the manifest's first stream of spikes, or "
        "96 channels at 250 bins/s (default: the demo's decoder)",
    )
    parser.add_argument(
        "--seconds",
        type=positive_seconds,
        default=8.0,
        metavar="S",
        help="how long the decoder is timed, then a relay, and then all streams are watched (default 8)",
    )
    parser.add_argument(
        "--data-dir", type=Path, help=f"where sessions will be kept (default ${DATA_VARIABLE}, or per user)"
    )
    parser.add_argument("--lsl", metavar="lab|loopback|FILE", help="LSL configuration (default: $LSLAPICFG, or lab)")
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="write one page here")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check everything, print a table, write what was asked for; 1 if something failed."""
    for path in (options.json, options.report, options.write_manifest):
        check_output(path)
    lsl = configure_lsl(options.lsl)
    if options.write_manifest is not None:
        return _write_manifest(options.write_manifest)
    manifest = None if options.manifest is None else read_manifest(options.manifest)
    limits = Limits() if manifest is None else manifest.limits
    name, bundle = _decoder(options, manifest)
    where = host()

    findings = _machine(options.data_dir or default_data_dir(), manifest, limits)
    loop = _loop(name, bundle, options.seconds, limits, findings)
    # The loop was not the rig's business; what follows is.
    configure_lsl(str(lsl))
    from services.certify.rig import check_rig

    say("looking for streams ...")
    decoder = None if options.bundle is None and options.decoder is None else bundle.manifest
    findings += check_rig(lsl, manifest, limits, decoder, options.seconds)

    areas = list(dict.fromkeys(one.area for one in findings))
    findings.sort(key=lambda one: areas.index(one.area))
    console = Console(stderr=options.json == "-", width=None if sys.stdout.isatty() else _WIDTH)
    console.print(findings_table(findings))
    fit = passed(findings)
    if options.report is not None:
        write_certificate(options.report, certify_page(findings, loop, limits, where))
        say(f"report: {options.report}")
    write_json(
        options.json,
        {
            "passed": fit,
            "verdict": verdict_line(findings),
            "host": where,
            "limits": limits.model_dump(),
            "findings": [one.as_json() for one in findings],
        },
    )
    return 0 if fit else 1


def _decoder(options: argparse.Namespace, manifest: RigManifest | None) -> tuple[str, Bundle]:
    if options.bundle is not None:
        bundle = read_bundle(options.bundle)
        return bundle.manifest.decoder, bundle
    if options.decoder is not None:
        require_training_extra("certify --decoder")
        streams = () if manifest is None else manifest.streams
        shapes = [(one.rate_hz, one.channels) for one in streams if one.type == "spikes"]
        rate_hz, channels = next(((r, c) for r, c in shapes if r and c), _SHAPE)
        return options.decoder, untrained_bundle(options.decoder, {}, rate_hz, channels)
    return "demo", read_bundle(demo_bundle())


def _machine(data_dir: Path, manifest: RigManifest | None, limits: Limits) -> list[Finding]:
    say(f"looking at this machine, and writing to {data_dir} ...")
    bytes_per_s = 0.0 if manifest is None else sum(stream.bytes_per_s for stream in manifest.streams)
    return [
        *check_processor(processor_facts()),
        *check_memory(memory_facts(), limits),
        *check_rights(rights_facts(), limits),
        *check_disk(disk_facts(data_dir), limits, bytes_per_s),
        check_compiled(compiled_facts()),
    ]


def _loop(name: str, bundle: Bundle, seconds: float, limits: Limits, findings: list[Finding]) -> LoopFacts | None:
    """Time the decoder; adds to the findings."""
    if findings[-1].verdict == "fail":
        what = "not timed: the machine code is not compiled"
        findings.append(Finding("decoder", "latency", "fail", what, f"run '{WARM}', and certify again"))
        return None
    say(f"timing {name}: {bundle.manifest.n_channels} channels, {bundle.manifest.bin_s * 1e3:g} ms bins ...")
    configure_lsl("loopback")
    try:
        loop = loop_facts(name, bundle, seconds)
    except BmiError as error:
        findings.append(Finding("decoder", "latency", "fail", str(error), "see 'bmi-decoder bench latency'"))
        return None
    findings += check_loop(loop, limits)
    return loop


def _write_manifest(path: Path) -> int:
    if path.exists():
        raise InputError(f"{path} is there already and may have been edited: remove it, or choose another name")
    from services.certify.search import find_all

    found = find_all()
    if not found:
        raise BmiError(
            "no LSL stream is visible: start the rig, and see docs/how-to/connect-a-rig.md if it runs; "
            f"LSL configuration in force: {os.environ['LSLAPICFG']}"
        )
    expected = expect(found)
    for stream, one in zip(found, expected, strict=True):
        if isinstance(one, Finding):
            say(f"{one.area}: {one.found}; {one.remedy}")
        elif not isinstance(stream, Finding):
            say(f"stream {stream.visible}")
    streams = [one for one in expected if not isinstance(one, Finding)]
    if not streams:
        raise BmiError("none of these streams can be in a manifest")
    write_manifest(path, streams)
    say(f"wrote {path}; read it, and certify with --manifest {path}")
    return 0
