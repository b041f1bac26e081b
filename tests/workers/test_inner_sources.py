"""From which source the records of an inner pipeline are, for letters that are sent again."""

from tests.graphs import PREDICATES, compiled, fed, source
from wallaroo_workers.initializer.control.queries import describe_source, sources_of_inner


def test_an_inner_pipeline_has_the_source_whose_records_reach_it() -> None:
    plan = compiled(
        source("a", branches=(PREDICATES["odd"],)),
        source("b"),
        fed("odd", [(0, 0)]),
        fed("odd again", [2]),
        fed("both", [3, 1]),
    )
    addresses = ["h:1", "h:2"]
    pairs = zip(plan.pipelines, addresses, strict=True)
    sources = [describe_source(pipeline, address) for pipeline, address in pairs]
    odd, again, both = sources_of_inner(plan, sources)
    assert odd == sources[0] | {"pipeline": "odd"}
    assert again["address"] == "h:1"
    assert both["kind"] == "several"
    assert both["describes"] == "the sources of pipelines 'a', 'b'"
