"""Throughput and CPU against workers, pauses and recovery against keys, as SVG."""

from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.rows.row import Result
from tests.bench.scenarios import Scenario

Point = tuple[Scenario, Result]

mpl.rcParams["svg.hashsalt"] = "wallaroo"  # else each run writes other ids


def plot_workers(points: list[Point], path: Path) -> bool:
    """Plot scenarios that differ in nothing but workers; False when there are no such."""
    lines = _lines(points)
    if not lines:
        return False
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    throughput, cpu = figure.subplots(1, 2)
    for number, line in enumerate(lines):
        workers = [scenario.workers for scenario, _ in line]
        color, name = f"C{number}", _name(line[0][0])
        rates = [result.more["records_per_s"] / 1e3 for _, result in line]
        throughput.plot(workers, rates, "o-", color=color, label=name)
        used = [result.more["cpu_s_per_million"] for _, result in line]
        cpu.plot(workers, used, "o-", color=color, label=name)
        bare = [result.more["bare_cpu_s_per_million"] for _, result in line]
        cpu.plot(workers, bare, "--", color=color, alpha=0.6)
    throughput.set(title="Throughput, one connection", ylabel="thousand records / s")
    cpu.plot([], [], "--", color="gray", label="the same in the bare loop")
    cpu.set(title="CPU, all processes of the cluster", ylabel="CPU seconds / million records")
    counts = sorted({scenario.workers for line in lines for scenario, _ in line})
    for axes in (throughput, cpu):
        _finish(axes, counts)
    figure.legend(*cpu.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, metadata={"Date": None})
    return True


def plot_checkpoints(results: list[Result], path: Path) -> bool:
    """Plot pauses and recovery against keys; False when neither was measured."""
    pauses = [result for result in results if result.group == "checkpoints"]
    recoveries = [result for result in results if result.group == "recovery"]
    if not pauses and not recoveries:
        return False
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    pause, recovery = figure.subplots(1, 2)
    for number, percent in enumerate(sorted({one.more["changed_percent"] for one in pauses})):
        line = [one.more for one in pauses if one.more["changed_percent"] == percent]
        keys, color = [more["keys"] for more in line], f"C{number}"
        p99 = [more["pause_p99_ms"] for more in line]
        pause.plot(keys, p99, "o-", color=color, label=f"p99, {percent} % changed")
        longest = [more["pause_max_ms"] for more in line]
        pause.plot(keys, longest, "^--", color=color, alpha=0.6, label=f"max, {percent} % changed")
    pause.axhline(10.0, color="gray", linewidth=1, label="target of p99")
    pause.set(title="Checkpoint: longest wait of records", ylabel="ms")
    keys = [one.more["keys"] for one in recoveries]
    for name, label in (("ready_again_s", "ready again"), ("first_result_s", "first new result")):
        recovery.plot(keys, [one.more[name] for one in recoveries], "o-", label=label)
    recovery.set(title="Recovery from kill -9 of the worker", ylabel="s")
    for axes in (pause, recovery):
        axes.set_xscale("log")
        axes.set_xlabel("keys")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})
    return True


def _lines(points: list[Point]) -> list[list[Point]]:
    lines: dict[object, list[Point]] = defaultdict(list)
    for scenario, result in points:
        if scenario.connections == 1:
            lines[scenario.bare_loop].append((scenario, result))
    return [line for line in lines.values() if len(line) > 1]


def _name(scenario: Scenario) -> str:
    if scenario.module == "letters":
        return "alphabet, 26 keys"
    return f"{scenario.module}, {scenario.key_count:,} keys"


def _finish(axes: Axes, worker_counts: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(worker_counts, [str(count) for count in worker_counts])
    axes.set_xlabel("workers")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
