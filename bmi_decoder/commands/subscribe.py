"""``bmi-decoder subscribe``: watch a session's estimates."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from bmi_decoder.client import Subscriber
from bmi_decoder.commands.options import positive_seconds, say
from bmi_decoder.errors import BmiError
from bmi_decoder.wire import ESTIMATE, HEALTH, HEARTBEAT, Estimate, Health, Message


def register(subparsers: Any) -> None:
    """Add the sub-command."""
    parser = subparsers.add_parser("subscribe", help="print what a session publishes")
    parser.add_argument("endpoint", metavar="ENDPOINT", help="for example tcp://127.0.0.1:5556")
    parser.add_argument("--topic", choices=["BMID", "BMIH", "BMIB"], action="append", help="default: BMID and BMIH")
    parser.add_argument("--count", type=int, metavar="N", help="stop after N estimates")
    parser.add_argument(
        "--timeout", type=positive_seconds, default=10.0, metavar="S", help="give up after S silent seconds"
    )
    parser.add_argument(
        "--server-key", metavar="KEY", help="of a session that publishes encrypted: server_key of its status, or a file"
    )
    parser.add_argument("--key", metavar="FILE", help="with it: our own key, NAME.key_secret of 'keys generate'")
    parser.add_argument("--json", metavar="FILE", help="write one JSON object per message; '-' is standard output")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print messages until interrupted, or until enough have come."""
    shown = {topic.encode() for topic in options.topic or ["BMID", "BMIH"]}
    try:
        target = sys.stdout if options.json in (None, "-") else open(options.json, "w")  # noqa: SIM115  closed below
    except OSError as error:
        raise BmiError(f"cannot write {options.json}: {error.strerror}") from None
    received = 0
    # Heartbeats are always received: they tell a quiet rig from a dead worker.
    with Subscriber(
        options.endpoint, (ESTIMATE, HEALTH, HEARTBEAT), server_key=options.server_key, key=options.key
    ) as subscriber:
        try:
            while options.count is None or received < options.count:
                message = subscriber.receive(options.timeout)
                if message is None:
                    raise BmiError(
                        f"nothing came from {options.endpoint} in {options.timeout:g} s, not even a heartbeat: "
                        "is the session running? See GET /v1/sessions"
                    )
                kind, value = describe(message)
                received += isinstance(message, Estimate)
                if kind in shown:
                    # Flushed, so that nothing is lost when this program is ended or read through a pipe.
                    print(json.dumps(value) if options.json else _line(value), file=target, flush=True)
        finally:
            if target is not sys.stdout:
                target.close()
        if subscriber.lost:
            say(f"{subscriber.lost} estimates were lost on the way: this reader was too slow")
    return 0


def describe(message: Message) -> tuple[bytes, dict[str, Any]]:
    """The topic of a message, and the message as plain JSON."""
    if isinstance(message, Estimate):
        return ESTIMATE, {
            "sequence": message.sequence,
            "bin": message.bin_index,
            "t_source": message.t_source,
            "t_publish": message.t_publish,
            "flags": int(message.flags),
            "revision": message.revision,
            **{
                variant.name: {"t_valid": float(t), "outputs": [float(value) for value in row]}
                for variant, t, row in zip(message.variants, message.t_valid, message.outputs, strict=True)
            },
        }
    if isinstance(message, Health):
        return HEALTH, message.event
    return HEARTBEAT, {"heartbeat": message.t_publish, "next_sequence": message.next_sequence, "at": time.time()}


def _line(value: dict[str, Any]) -> str:
    if "sequence" not in value:
        return json.dumps(value)
    parts = [f"{value['sequence']:8d}"]
    for name, entry in value.items():
        if isinstance(entry, dict):
            parts.append(f"{name} " + " ".join(f"{output:+.4f}" for output in entry["outputs"]))
    flags = f"  flags {value['flags']}" if value["flags"] else ""
    return "  ".join(parts) + flags
