// @ts-check
// The page of a pipeline: its graph, its source and sinks, its steps.

import { html } from "../../vendor/lit-html/lit-html.js";
import { count, rate } from "../format.js";
import { card, heading, tiles } from "../parts/elements.js";
import { graphCard, graphOf, isStart, nodesTable, withNext } from "../parts/graph_card.js";
import { lettersCard } from "../parts/letters_card.js";
import { pipelineCards } from "../parts/measured_cards.js";
import { sourcesCard, splitsCard } from "../parts/worker_cards.js";
import { missing } from "./missing.js";

export function pipelinePage(snapshot, name) {
  const graph = graphOf(snapshot.graph, name);
  if (graph.nodes.length === 0) return missing(snapshot, name);
  const [source] = graph.nodes.filter(isStart);
  const sinks = graph.nodes.filter((node) => node.kind === "sink");
  const around = withNext(graph, snapshot.graph);
  const next = around.nodes.slice(graph.nodes.length);
  const end = next.length ? `goes on in ${[...new Set(next.map((node) =>
    (node.kind === "feed" ? node.pipeline : node.name)))].join(", ")}` : "it has no sink";
  const sum = (field, nodes = graph.nodes) => nodes.reduce((all, node) => all + (node[field] ?? 0), 0);
  return html`
    ${heading(name, "pipeline")}
    ${tiles([
      { name: "In", value: rate(source?.rate), unit: "records/s", note: `${count(source?.in)} in total` },
      { name: "Out", value: sinks.length ? rate(sum("rate", sinks)) : "none", unit: sinks.length
        ? "records/s" : "", note: sinks.length ? `${count(sum("out", sinks))} in total` : end },
      { name: "Filtered", value: count(sum("filtered")), note: "no result" },
      { name: "Failed", value: count(sum("failed")), isBad: sum("failed") > 0, note: "dead letters" },
    ], "Figures of the pipeline")}
    ${graphCard("From source to sinks", around)}
    ${pipelineCards(name, graph.nodes, snapshot.pipelines)}
    ${card("Nodes", nodesTable(graph.nodes))}
    ${sourcesCard(snapshot.sources.filter((each) => each.pipeline === name))}
    ${splitsCard(snapshot.splits.filter((each) => each.pipeline === name))}
    ${lettersCard(snapshot.dead_letters.filter((each) => each.pipeline === name))}`;
}
