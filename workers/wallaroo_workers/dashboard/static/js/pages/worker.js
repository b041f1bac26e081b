// @ts-check
// The page of a worker: its load, the partitions it owns, its links.

import { html } from "../../vendor/lit-html/lit-html.js";
import { drawRates } from "../charts/lines.js";
import { bytes, count, duration, rate, share } from "../format.js";
import { card, heading, linkTo, table, tiles } from "../parts/elements.js";
import { failedCell } from "../parts/graph_card.js";
import { linesCard, windowChoice } from "../parts/history_cards.js";
import { binsCard } from "../parts/latency_cards.js";
import { lettersCard } from "../parts/letters_card.js";
import { logCard } from "../parts/log_card.js";
import { linksCard, sinksCard, sourcesCard, splitsCard, stateTag } from "../parts/worker_cards.js";
import { missing } from "./missing.js";

export function workerPage(snapshot, name) {
  const worker = snapshot.workers.find((each) => each.name === name);
  if (!worker) return missing(snapshot, name);
  const isOf = (each) => each.worker === name;
  const lines = [
    { name: "in", colour: "series-in", isFilled: true }, { name: "out", colour: "series-out" },
  ];
  return html`
    ${heading(name, html`worker, process ${worker.pid} at <code>${worker.address}</code>
      ${stateTag(worker)}`)}
    ${workerTiles(worker)}
    ${linesCard(`Throughput of ${name}`, drawRates, lines, rate, {
      end: windowChoice(), note: "records a second", pick: (all) => all.workers?.[name],
    })}
    <div class="row">
      ${binsCard(`Latency on ${name} by size`, [worker.latency],
        "source to sinks, for results of this worker, last 10 s", { wide: "wide-4" })}
      ${placesOn(snapshot.graph.nodes, name)}
    </div>
    <div class="row">
      ${owned(snapshot.states, name)}
      ${linksCard(snapshot.links.filter((link) => link.from === name || link.to === name),
        { wide: "wide-7" })}
    </div>
    ${sourcesCard(snapshot.sources.filter(isOf))}
    ${splitsCard(snapshot.splits.filter(isOf))}
    ${sinksCard(snapshot.sinks.filter(isOf))}
    ${lettersCard(snapshot.dead_letters.filter(isOf))}
    ${logCard(snapshot.log.filter((line) => line.fields?.process === name ||
      line.fields?.worker === name), { title: `Log of ${name}` })}`;
}

function workerTiles(worker) {
  return tiles([
    { name: "In", value: rate(worker.in_rate), unit: "records/s" },
    { name: "Out", value: rate(worker.out_rate), unit: "records/s" },
    { name: "Backlog", value: bytes(worker.backlog_bytes), isWarned: worker.paused,
      note: worker.paused ? "sources wait for it" : "" },
    { name: "CPU", value: share(worker.cpu_share),
      note: `in functions ${share(worker.user_share)}` },
    { name: "Memory", value: bytes(worker.rss_bytes) },
    { name: "Loop lag", value: duration(worker.loop_lag_s),
      note: `collector ${duration(worker.gc_pause_s)}` },
    { name: "Keys", value: count(worker.keys) },
    { name: "Restarts", value: count(worker.restarts), note: `epoch ${worker.epoch}`,
      isBad: worker.restarts > 0 },
  ], "Figures of the worker");
}

// The sources, steps and sinks with the figures of this worker.
function placesOn(nodes, name) {
  const rows = nodes.filter((node) => node.by_worker[name])
    .map((node) => ({ node, ...node.by_worker[name] }));
  return card(`Nodes on ${name}`, table(`Nodes on ${name}`, [
    { title: "Name", cell: ({ node }) => (node.kind === "step" ? linkTo("step", node.name)
      : node.name) },
    { title: "Pipeline", cell: ({ node }) => linkTo("pipeline", node.pipeline) },
    { title: "Records/s", isNumber: true, cell: (each) => rate(each.rate) },
    { title: "In", isNumber: true, cell: (each) => count(each.in) },
    { title: "Out", isNumber: true, cell: (each) => count(each.out) },
    { title: "Filtered", isNumber: true, cell: (each) => count(each.filtered) },
    { title: "Failed", isNumber: true, cell: failedCell },
    { title: "In function, p99", isNumber: true, cell: (each) => duration(each.latency?.p99) },
  ], rows, { none: "No record has arrived yet." }), { wide: "wide-8" });
}

function owned(states, name) {
  return card("Partitions and keys", table(`Partitions and keys of ${name}`, [
    { title: "State", cell: (state) => linkTo("state", state.name) },
    { title: "Partitions", isNumber: true, cell: (state) => count(state.partitions.by_worker[name]) },
    { title: "of", isNumber: true, cell: (state) => count(state.partitions.count) },
    { title: "Keys", isNumber: true, cell: (state) => count(state.by_worker[name]?.keys) },
    { title: "Size", isNumber: true, cell: (state) => bytes(state.by_worker[name]?.bytes) },
  ], states, { none: "The application has no state." }), { wide: "wide-5" });
}
