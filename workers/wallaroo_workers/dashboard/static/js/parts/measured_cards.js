// @ts-check
// Measurements of a pipeline or a step over time, and its present percentiles.

import { html } from "../../vendor/lit-html/lit-html.js";
import { drawDurations, drawRates } from "../charts/lines.js";
import { count, duration, rate } from "../format.js";
import { store } from "../store.js";
import { card, table, tag, workerLink } from "./elements.js";
import { failedCell, isStart } from "./graph_card.js";
import { linesCard, windowChoice } from "./history_cards.js";
import { binsCard, percentilesCard } from "./latency_cards.js";

const IN = { name: "in", colour: "series-in", isFilled: true };
const OUT = { name: "out", colour: "series-out" };

// nodes: those of this pipeline, from its source to its sinks
export function pipelineCards(name, nodes, pipelines) {
  const sources = nodes.filter(isStart);
  const sinks = nodes.filter((node) => node.kind === "sink");
  const facts = pipelines.find((each) => each.name === name);
  const end = windowChoice();
  return html`<div class="row">
    ${throughput(name, (nodesIn) => ({
      in: sum(nodesIn, sources), ...(sinks.length ? { out: sum(nodesIn, sinks) } : {}),
    }), "wide-5")}
    ${linesCard(`Latency of ${name}`, drawDurations, [
      { name: "p50", colour: "series-in" }, { name: "p99", colour: "series-mid" },
    ], duration, { wide: "wide-4", end, note: "source to sinks",
      pick: (history) => history.pipelines?.[name] })}
    ${percentilesCard(`Percentiles of ${name}`, facts.latency, "last 10 s")}
  </div>
  <div class="row">
    ${binsCard(`Latency of ${name} by size`, [facts.latency], "source to sinks, last 10 s",
      { wide: "wide-4" })}
    ${byWorkerCard(`${name} by worker`, rowsOf(nodes, facts.by_worker), "Latency",
      { wide: "wide-8" })}
  </div>`;
}

// nodes: those with this name, one for each pipeline that uses the step
export function stepCards(name, nodes) {
  const [busiest] = [...nodes].sort((one, other) => (other.latency?.count ?? 0) -
    (one.latency?.count ?? 0));
  return html`<div class="row">
    ${throughput(name, (nodesIn) => ({ in: sum(nodesIn, nodes) }),
      busiest.wait?.count ? "wide-6" : "wide-9")}
    ${percentilesCard("Time in its function", busiest.latency, "a sample of its records")}
    ${busiest.wait?.count
      ? percentilesCard("Wait at the step", busiest.wait, "for a batch or an answer") : ""}
  </div>
  <div class="row">
    ${binsCard("Time in its function by size", nodes.map((node) => node.latency),
      "a sample of its records", { wide: "wide-4" })}
    ${byWorkerCard(`${name} by worker`, nodes.flatMap(workersOf), "In function",
      { wide: "wide-8" })}
  </div>`;
}

const isAny = (_) => true;
const workersOf = (node) =>
  Object.entries(node.by_worker).map(([worker, facts]) => ({ worker, ...facts }));

// Records that entered the pipeline on each worker, that left it there, and that ended in between.
function rowsOf(nodes, latencies) {
  const workers = new Set(nodes.flatMap((node) => Object.keys(node.by_worker)));
  return [...workers].map((worker) => {
    const sumOf = (field, counts = isAny) => nodes.reduce((all, node) =>
      all + (counts(node) ? node.by_worker[worker]?.[field] ?? 0 : 0), 0);
    const isSink = (node) => node.kind === "sink";
    return {
      worker, rate: sumOf("rate", isStart), in: sumOf("in", isStart), out: sumOf("out", isSink),
      filtered: sumOf("filtered"), failed: sumOf("failed"), latency: latencies[worker],
    };
  });
}

function throughput(name, pick, wide) {
  return linesCard(`Throughput of ${name}`, drawRates, [IN, OUT], rate, {
    wide, end: windowChoice(), note: "records per second",
    pick: (history) => (history.nodes ? pick(history.nodes) : null),
  });
}

function sum(nodesIn, nodes) {
  const series = nodes.map((node) => nodesIn[node.id]?.in).filter(Boolean);
  return series.length ? series[0].map((_, at) => series.reduce((all, one) => all + one[at], 0)) : [];
}

const byName = (one, other) =>
  one.worker.localeCompare(other.worker, "en", { numeric: true });

// rows: [{ worker, rate, in, out, filtered, failed, latency }]
export function byWorkerCard(title, rows, timeTitle, { wide = "" } = {}) {
  if (rows.length === 0) return "";
  return card(title, table(title, [
    { title: "Worker", cell: (each) => workerOrGone(each.worker) },
    { title: "Records/s", isNumber: true, cell: (each) => rate(each.rate) },
    { title: "In", isNumber: true, cell: (each) => count(each.in) },
    { title: "Out", isNumber: true, cell: (each) => count(each.out) },
    { title: "Filtered", isNumber: true, cell: (each) => count(each.filtered) },
    { title: "Failed", isNumber: true, cell: failedCell },
    { title: `${timeTitle} p50`, isNumber: true, cell: (each) => duration(each.latency?.p50) },
    { title: "p99", isNumber: true, cell: (each) => duration(each.latency?.p99) },
  ], [...rows].sort(byName)), { wide });
}

// The totals still include workers that have left the cluster.
function workerOrGone(name) {
  const isThere = store.snapshot.workers.some((each) => each.name === name);
  return isThere ? workerLink(name) : html`<span class="nowrap">${name} ${tag("left")}</span>`;
}
