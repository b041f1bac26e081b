"""``make simulate``: runs many seeds on all cores; or one seed, and tells its steps."""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import click

from tests.simulation import graphs, once, timed, two_phases
from tests.simulation.seeds import outcome, run_seed
from wallaroo.testing import SimulationError, SimulationResult

SEEDS_AT_ONCE = 10
LOG_EVERY_S = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes to use")
    parser.add_argument("--seed", type=int, help="run this one and tell its last steps")
    parser.add_argument("--no-checkpoints", action="store_true", help="and no process is lost")
    parser.add_argument("--once", action="store_true", help="sinks that are exactly once")
    parser.add_argument("--two-phases", action="store_true", help="sinks of two phases")
    parser.add_argument("--logs", action="store_true", help="sources that are read by partition")
    parser.add_argument("--graphs", action="store_true", help="pipelines fed by pipelines")
    parser.add_argument("--timed", action="store_true", help="late records, timers and alarms")
    options = parser.parse_args()
    kind = {"durable": not options.no_checkpoints, "with_logs": options.logs}
    if options.seed is not None:
        run: Callable[[int], SimulationResult] = partial(run_seed, **kind)
        if options.timed:
            run = partial(timed.run_timed, with_logs=options.logs)
        elif options.graphs:
            run = partial(graphs.run_graph, durable=not options.no_checkpoints)
        elif options.once or options.two_phases:
            run = once.run_once if options.once else two_phases.run_two_phases
        return run_one(options.seed, run)
    seeds = range(options.first, options.first + options.seeds)
    run_seeds: Callable[[int], tuple[int, Counter[str], str]] = partial(outcome, **kind)
    if options.timed:
        run_seeds = partial(timed.outcome, with_logs=options.logs)
    elif options.graphs or options.once:
        run_seeds = graphs.outcome if options.graphs else once.outcome
    elif options.two_phases:
        run_seeds = two_phases.outcome
    return run_many(seeds, options.jobs, run_seeds)


def run_one(seed: int, run: Callable[[int], SimulationResult]) -> int:
    try:
        result = run(seed)
    except SimulationError as error:
        click.echo(error)
        return 1
    click.echo("\n".join(result.story))
    tell_faults(result.injected)
    click.echo(
        f"seed {seed} passed: {result.step_count} steps, fingerprint {result.fingerprint:08x}"
    )
    return 0


def run_many(seeds: range, jobs: int, run: Callable[[int], tuple[int, Counter[str], str]]) -> int:
    injected: Counter[str] = Counter()
    failed: list[int] = []
    began_s = logged_s = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        outcomes = pool.imap_unordered(run, seeds, chunksize=SEEDS_AT_ONCE)
        for count, (seed, faults, problem) in enumerate(outcomes, start=1):
            injected += faults
            if problem:
                failed.append(seed)
                lines = problem.splitlines()
                click.echo(
                    "\n".join([lines[0], *(line for line in lines if "run it again" in line)])
                )
            if time.monotonic() - logged_s >= LOG_EVERY_S:
                logged_s = time.monotonic()
                click.echo(f"{count} of {len(seeds)} seeds, {len(failed)} failed")
    tell_faults(injected)
    took_s = time.monotonic() - began_s
    click.echo(
        f"{len(seeds)} seeds in {took_s:.0f} s, {len(failed)} failed {sorted(failed)[:20] or ''}"
    )
    return 1 if failed else 0


def tell_faults(injected: Counter[str]) -> None:
    click.echo("faults injected:")
    for kind, count in sorted(injected.items()):
        click.echo(f"{count:8} {kind}")


if __name__ == "__main__":
    sys.exit(main())
