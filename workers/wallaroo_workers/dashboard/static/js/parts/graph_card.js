// @ts-check
// The application, or one of its pipelines, as a graph and as a table of its nodes.

import { html } from "../../vendor/lit-html/lit-html.js";
import { drawGraph, kindOf } from "../charts/graph.js";
import { count, many, rate, share } from "../format.js";
import { card, chart, linkTo, shareBar, table, tag } from "./elements.js";

export function graphCard(title, graph) {
  const behind = namesOf(graph.nodes.filter((node) => node.under_pressure));
  const label = `${title}: ${many(graph.nodes.length, "place")}, ` +
    (behind.length ? `back-pressure at ${behind.join(", ")}`
      : "no back-pressure");
  return card(title, chart("graph", drawGraph, graph, label, () => nodesTable(graph.nodes)), {
    note: behind.length
      ? tag(`▲ back-pressure at ${behind.join(", ")}`, "degraded")
      : "records per second; dashed: records move between workers",
  });
}

// A sink of several pipelines is a node of each, but is named once.
function namesOf(nodes) {
  return [...new Set(nodes.map((node) => (node.kind === "sink" ? node.name.replace(/#\d+$/, "")
    : node.name)))];
}

export function nodesTable(nodes) {
  return table("Sources, steps and sinks", [
    { title: "Name", cell: (node) => (node.kind === "step" ? linkTo("step", node.name) : node.name) },
    { title: "Kind", cell: kindOf },
    { title: "Pipeline", cell: (node) => linkTo("pipeline", node.pipeline) },
    { title: "Records/s", isNumber: true, cell: (node) => rate(node.rate) },
    { title: "In", isNumber: true, cell: (node) => count(node.in) },
    { title: "Out", isNumber: true, cell: (node) => count(node.out) },
    { title: "Filtered", isNumber: true, cell: (node) => count(node.filtered) },
    { title: "Failed", isNumber: true, cell: failedCell },
    { title: "Time in function", cell: (node) => shareBar(node.user_share, share(node.user_share),
      "Time in its function") },
    { title: "Pressure", cell: (node) => (node.under_pressure
      ? tag("▲ back-pressure", "degraded") : "none") },
  ], nodes);
}

export function failedCell(each) {
  return each.failed > 0 ? html`<span class="failed">${count(each.failed)}</span>` : count(each.failed);
}

// The part of a pipeline, and behind it the places of others where its records go on.
export function withNext(part, graph) {
  const own = new Set(part.nodes.map((node) => node.id));
  const leaving = graph.edges.filter((edge) => own.has(edge.from) && !own.has(edge.to));
  const next = new Set(leaving.map((edge) => edge.to));
  return {
    nodes: [...part.nodes, ...graph.nodes.filter((node) => next.has(node.id))],
    edges: [...part.edges, ...leaving],
  };
}

// Where the records of a pipeline begin: at its source, or at what feeds it.
export function isStart(node) {
  return node.kind === "source" || node.kind === "feed";
}

// The part of a graph that belongs to one pipeline.
export function graphOf(graph, pipeline) {
  const nodes = graph.nodes.filter((node) => node.pipeline === pipeline);
  const ids = new Set(nodes.map((node) => node.id));
  return { nodes, edges: graph.edges.filter((edge) => ids.has(edge.from) && ids.has(edge.to)) };
}
