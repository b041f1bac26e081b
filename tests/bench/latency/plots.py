"""Latency percentiles against the offered rate, as SVG."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

MARKS = "os^"
mpl.rcParams["svg.hashsalt"] = "wallaroo"  # else each run writes other ids


def plot_latency(rows: list[dict[str, Any]], percentiles: dict[str, str], path: Path) -> None:
    """Plot a panel for each percentile; a line is the median, its shadow spans all rounds."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    panels = figure.subplots(1, len(percentiles), sharey=True)
    systems = list(dict.fromkeys(row["system"] for row in rows))
    rates = sorted({row["rate"] for row in rows})
    for axes, (field, title) in zip(panels, percentiles.items(), strict=True):
        for number, system in enumerate(systems):
            line = [row for row in rows if row["system"] == system]
            at = [row["rate"] for row in line]
            color = f"C{number}"
            median = [row[field]["median"] for row in line]
            axes.plot(at, median, f"{MARKS[number]}-", color=color, label=system)
            low, high = ([row[field][end] for row in line] for end in ("min", "max"))
            axes.fill_between(at, low, high, color=color, alpha=0.15, linewidth=0)
        axes.set_title(title)
        axes.set(xscale="log", yscale="log", xlabel="records / s")
        axes.set_xticks(rates, [f"{rate / 1000:g}k" for rate in rates])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.grid(alpha=0.3, which="both")
    panels[0].set_ylabel("ms from source to sink")
    panels[0].legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})
