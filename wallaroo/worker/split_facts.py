"""What a worker answers about the splits that it reads, while records go on."""

from collections.abc import Iterable, Mapping
from typing import Any

from wallaroo.ingest.split_ports import SplitSource

SPLITS_A_PIPELINE_MAX = 10_000
"""An answer with more splits would hold up records, and not fit into a frame."""


def split_facts(sources: Mapping[int, SplitSource], params: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of at most ``limit`` splits of each source, and how many there are.

    ``sources`` and the answer are by the index of the pipeline.
    """
    limit = min(int(params["limit"]), SPLITS_A_PIPELINE_MAX)
    found: list[dict[str, Any]] = []
    for pipeline, source in sources.items():
        facts = source.facts()
        facts.sort(key=lambda each: str(each["split"]))
        found.append({"pipeline": pipeline, "count": len(facts), "splits": facts[:limit]})
    return {"sources": found}


def lag_facts(sources: Mapping[int, SplitSource]) -> list[dict[str, Any]]:
    """Return how many splits each source has here, and how far they are behind."""
    return [
        {"pipeline": pipeline, "splits": len(facts), **sum_of_lags(facts)}
        for pipeline, facts in ((each, source.facts()) for each, source in sources.items())
    ]


def sum_of_lags(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the lags of splits, or of workers, as one: the sum, and the highest age.

    ``lag`` and ``lag_s`` are ``None`` if that of no part is known.
    """
    known = [(part["lag"], part["lag_s"]) for part in parts]
    lags = [lag for lag, _ in known if lag is not None]
    ages = [age_s for _, age_s in known if age_s is not None]
    return {"lag": sum(lags) if lags else None, "lag_s": max(ages, default=None)}
