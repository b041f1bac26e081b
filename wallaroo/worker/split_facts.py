"""What a worker answers about the splits that it reads, while records go on."""

from collections.abc import Mapping
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
