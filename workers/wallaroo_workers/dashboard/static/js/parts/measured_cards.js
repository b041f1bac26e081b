// What was measured of one pipeline or one step over time, and its percentiles now.

import { html } from "../../vendor/lit-html/lit-html.js";
import { drawDurations, drawRates } from "../charts/lines.js";
import { count, duration, rate } from "../format.js";
import { card, table } from "./elements.js";
import { linesCard, windowChoice } from "./history_cards.js";

const IN = { name: "in", colour: "series-in", isFilled: true };
const OUT = { name: "out", colour: "series-out" };

const PERCENTILES = [
  ["p50", "50 %"], ["p90", "90 %"], ["p99", "99 %"], ["p999", "99.9 %"], ["max", "all"],
];

// nodes: of this pipeline, from its source to its sinks
export function pipelineCards(name, nodes, pipelines) {
  const sources = nodes.filter((node) => node.kind === "source");
  const sinks = nodes.filter((node) => node.kind === "sink");
  const latency = pipelines?.find((each) => each.name === name)?.latency;
  const end = windowChoice();
  return html`<div class="row">
    ${throughput(name, (nodesIn) => ({
      in: sum(nodesIn, sources), ...(sinks.length ? { out: sum(nodesIn, sinks) } : {}),
    }), "wide-5")}
    ${linesCard(`Latency of ${name}`, drawDurations, [
      { name: "p50", colour: "series-in" }, { name: "p99", colour: "series-mid" },
    ], duration, { wide: "wide-4", end, note: "source to sinks",
      pick: (history) => history.pipelines?.[name] })}
    ${percentiles(`Percentiles of ${name}`, latency, "last 10 s")}
  </div>`;
}

// nodes: those of one name, one for each place where the step stands
export function stepCards(name, nodes) {
  const [busiest] = [...nodes].sort((one, other) => (other.latency?.count ?? 0) -
    (one.latency?.count ?? 0));
  return html`<div class="row">
    ${throughput(name, (nodesIn) => ({ in: sum(nodesIn, nodes) }), "wide-9")}
    ${percentiles("Time in its function", busiest.latency, "a sample of its records")}
  </div>`;
}

function throughput(name, pick, wide) {
  return linesCard(`Throughput of ${name}`, drawRates, [IN, OUT], rate, {
    wide, end: windowChoice(), note: "records a second",
    pick: (history) => (history.nodes ? pick(history.nodes) : null),
  });
}

function sum(nodesIn, nodes) {
  const series = nodes.map((node) => nodesIn[node.id]?.in).filter(Boolean);
  return series.length ? series[0].map((_, at) => series.reduce((all, one) => all + one[at], 0)) : [];
}

function percentiles(title, latency, note) {
  const body = latency?.count
    ? table(title, [
      { title: "Records below", cell: ([, text]) => text },
      { title: "Time", isNumber: true, cell: ([name]) => duration(latency[name]) },
    ], PERCENTILES)
    : html`<p class="none">Nothing was measured yet.</p>`;
  return card(title, body, { wide: "wide-3", note: latency?.count
    ? `${note}, ${count(latency.count)} records` : note });
}
