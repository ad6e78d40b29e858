"""LSL and the rig, in the order in which one thing needs the other."""

from __future__ import annotations

from pathlib import Path

from bmi_decoder.bundle import Manifest
from bmi_decoder.errors import InputError
from services.certify.discovery import check_discovery, discovery_facts
from services.certify.finding import Finding
from services.certify.limits import Limits
from services.certify.manifest import RigManifest
from services.certify.ports import check_ports, port_facts
from services.certify.search import find_expected
from services.certify.streams import check_decoder_fits, check_layout, check_route
from services.certify.timing import check_timing
from services.certify.watch import watch, watched_rate_hz
from services.ingest.lsl_settings import read_lsl_settings


def check_rig(
    lsl: Path, manifest: RigManifest | None, limits: Limits, decoder: Manifest | None, seconds: float
) -> list[Finding]:
    """Check the LSL configuration, and every stream of the manifest.

    Parameters
    ----------
    lsl : Path
        The configuration in force.
    manifest : RigManifest or None
        None checks LSL alone.
    limits : Limits
    decoder : Manifest or None
        Of the bundle that a session will use, if that is known.
    seconds : float
        How long streams are watched.
    """
    try:
        settings = read_lsl_settings(lsl)
    except InputError as error:
        what, _, remedy = str(error).rpartition(": ")
        return [Finding("LSL", "configuration", "fail", what, f"{remedy}; correct the file")]
    ports = port_facts(settings)
    expected = () if manifest is None else manifest.streams
    found = find_expected(expected) if expected else []
    discovery = discovery_facts(settings)
    findings = [
        Finding("LSL", "configuration", "pass", str(settings)),
        *check_ports(ports, settings),
        check_discovery(discovery, settings),
    ]
    there = [one for one in found if not isinstance(one, Finding)]
    if decoder is not None and manifest is not None:
        findings += check_decoder_fits(decoder, there)
    watched = dict(zip(map(id, there), watch(there, seconds), strict=True))
    for wanted, one in zip(expected, found, strict=True):
        if isinstance(one, Finding):
            findings.append(one)
            continue
        findings += [check_route(one, discovery.routes), *check_layout(one, wanted, limits)]
        findings += check_timing(one.visible.name, watched_rate_hz(one.visible), watched[id(one)], limits)
    return findings
