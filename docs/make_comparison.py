"""Writes the README's table and picture of all decoders from what ``bmi-decoder compare --json FILE`` wrote.

``python docs/make_comparison.py FILE`` replaces what stands in README.md between ``<!-- comparison -->`` and
``<!-- /comparison -->``, and draws ``docs/pictures/comparison.png``. Needs the ``[dev]`` extra for matplotlib.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"
PICTURE = DOCS / "pictures" / "comparison.png"
BLOCK = re.compile(r"(<!-- comparison -->\n).*?(<!-- /comparison -->)", re.DOTALL)
SPIKING, OTHER = "#1d6fb8", "#d97706"


def is_spiking(standing: Mapping[str, Any]) -> bool:
    """Whether any of its products are taken for spikes."""
    return bool(standing["acs"]["mean"] > 0)


def table(standings: Sequence[Mapping[str, Any]]) -> str:
    """The standings as a Markdown table, best first."""
    lines = ["| decoder | test R2, raw | MACs per bin | ACs per bin | parameters, kB | one step, hot | training |"]
    lines.append("|---|---|---|---|---|---|---|")
    for one in standings:
        raw = one["test"]["raw"]
        name = f"[`{one['decoder']}`](docs/reference/decoders/{one['decoder']}.md)"
        lines.append(
            f"| {name} | {raw['mean']:.3f} ± {raw['deviation']:.3f} | {one['macs']['mean']:,.0f} | "
            f"{one['acs']['mean']:,.0f} | {one['footprint_bytes']['mean'] / 1000:,.0f} | "
            f"{one['step_us']['mean']:.1f} us | {one['training_s']['mean']:.0f} s |"
        )
    return "\n".join(lines) + "\n"


def draw(standings: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Accuracy against operations, both with their spread over seeds; the frontier is what nothing else beats."""
    figure, axes = plt.subplots(figsize=(8.6, 5.2), dpi=130, layout="constrained")
    frontier: list[tuple[float, float]] = []
    best = -1.0
    for one in sorted(standings, key=lambda one: one["operations"]["mean"]):
        x, raw = one["operations"]["mean"], one["test"]["raw"]
        if raw["mean"] > best:
            best = raw["mean"]
            frontier.append((x, best))
        colour = SPIKING if is_spiking(one) else OTHER
        axes.errorbar(x, raw["mean"], raw["deviation"], fmt="o", color=colour, ms=6, capsize=2, lw=1.2)
    axes.plot(*zip(*frontier, strict=True), "--", color="#9aa0a8", lw=1, zorder=0)
    axes.set(
        xscale="log", xlabel="multiply-adds and additions per bin, as measured", ylabel="velocity R2, raw, test part"
    )
    axes.plot([], [], "o", color=SPIKING, label="spiking")
    axes.plot([], [], "o", color=OTHER, label="not spiking")
    axes.legend(loc="lower right", frameon=False)
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.draw_without_rendering()
    name_points(
        axes,
        [
            (
                one["operations"]["mean"],
                one["test"]["raw"]["mean"],
                one["decoder"],
                SPIKING if is_spiking(one) else OTHER,
            )
            for one in standings
        ],
    )
    figure.savefig(path)


def name_points(axes: Axes, points: Sequence[tuple[float, float, str, str]]) -> None:
    """Names beside their points, each at the nearest place where it covers no other name and no point."""
    to_pixels = axes.transData.transform
    taken = [Bbox.from_bounds(*(to_pixels((x, y)) - 6), 12, 12) for x, y, *_ in points]
    places = [(r, angle) for r in range(8, 40, 3) for angle in (0.5, 2.64, -0.5, -2.64, 1.57, -1.57)]
    for x, y, name, colour in sorted(points, key=lambda point: -point[1]):
        for r, angle in places:
            dx, dy = r * math.cos(angle), r * math.sin(angle)
            side = "left" if dx > 1 else "right" if dx < -1 else "center"
            text = axes.annotate(
                name, (x, y), (dx, dy), textcoords="offset points", fontsize=9, ha=side, va="center", color=colour
            )
            box = text.get_window_extent()
            if axes.bbox.x1 > box.x1 and not any(box.overlaps(other) for other in taken):
                taken.append(box.padded(4))
                break
            text.remove()


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparison", type=Path, metavar="FILE", help="what compare --json wrote")
    standings = json.loads(parser.parse_args().comparison.read_text())["decoders"]
    standings.sort(key=lambda one: -one["test"]["raw"]["mean"])
    text = README.read_text()
    if not BLOCK.search(text):
        raise SystemExit("README.md has no <!-- comparison --> block")
    README.write_text(BLOCK.sub(lambda found: found[1] + table(standings) + found[2], text))
    draw(standings, PICTURE)


if __name__ == "__main__":
    main()
