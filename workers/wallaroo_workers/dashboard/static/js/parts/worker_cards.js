// @ts-check
// Workers, sources, sinks and links.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { bytes, count, duration, many, NOTHING, rate, share } from "../format.js";
import { card, linkTo, shareBar, table, tag, workerLink } from "./elements.js";

export function stateTag(worker) {
  if (worker.paused) return tag("paused", "degraded");
  if (worker.state === "running") return tag("running", "healthy");
  return tag(worker.state, worker.state === "lost" ? "unhealthy" : "degraded");
}

export function workersCard(workers, { wide = "" } = {}) {
  return card("Workers", table("Workers", [
    { title: "Name", cell: (each) => workerLink(each.name) },
    { title: "State", cell: stateTag },
    { title: "In/s", isNumber: true, cell: (each) => rate(each.in_rate) },
    { title: "Out/s", isNumber: true, cell: (each) => rate(each.out_rate) },
    { title: "Backlog", isNumber: true, cell: (each) => bytes(each.backlog_bytes) },
    { title: "CPU", cell: (each) => shareBar(each.cpu_share, share(each.cpu_share), "CPU",
      { high: 0.9 }) },
    { title: "In functions", isNumber: true, cell: (each) => share(each.user_share) },
    { title: "Memory", isNumber: true, cell: (each) => bytes(each.rss_bytes) },
    { title: "Loop lag", isNumber: true, cell: (each) => duration(each.loop_lag_s) },
    { title: "Keys", isNumber: true, cell: (each) => count(each.keys) },
    { title: "Restarts", isNumber: true, cell: (each) => (each.restarts > 0
      ? html`<span class="failed">${each.restarts}</span>` : "0") },
  ], workers), { wide });
}

export function sourcesCard(sources, { wide = "" } = {}) {
  return card("Sources", table("Sources", [
    { title: "Pipeline", cell: (each) => linkTo("pipeline", each.pipeline) },
    { title: "Worker", cell: (each) => workerLink(each.worker) },
    { title: "Address", cell: (each) => html`<code class="nowrap">${each.address || "none"}</code>` },
    { title: "Connections", isNumber: true, cell: (each) => count(each.connections) },
    { title: "Bytes/s", isNumber: true, cell: (each) => bytes(each.bytes_per_s) },
    { title: "Paused", isNumber: true, cell: (each) => duration(each.paused_s) },
  ], sources, { none: "The application has no source." }), { wide });
}

export function sinksCard(sinks, { wide = "" } = {}) {
  return card("Sinks", table("Sinks", [
    { title: "Sink", cell: (each) => each.name },
    { title: "Worker", cell: (each) => workerLink(each.worker) },
    { title: "Address", cell: (each) => html`<code class="nowrap">${each.address}</code>` },
    { title: "Connected", cell: (each) => (each.connected ? tag("yes", "healthy") : tag("no", "unhealthy")) },
    { title: "Bytes/s", isNumber: true, cell: (each) => bytes(each.bytes_per_s) },
    { title: "Queued", isNumber: true, cell: (each) => bytes(each.queued_bytes) },
    { title: "Results waiting", isNumber: true, cell: (each) => count(each.waiting) },
    { title: "Oldest waits", isNumber: true, cell: (each) => duration(each.waiting_s) },
    { title: "Undelivered", isNumber: true, cell: undelivered },
    { title: "Reconnects", isNumber: true, cell: (each) => count(each.reconnects) },
  ], sinks, { none: "The application has no sink." }), { wide });
}

// What a checkpoint has and the target does not, of a sink that is exactly once.
function undelivered({ batches }) {
  if (!batches || batches.undelivered === null) return NOTHING;
  const size = batches.undelivered ? `, ${bytes(batches.undelivered_bytes)}` : "";
  return many(batches.undelivered, "batch", "batches") + size;
}

export function splitsCard(splits, { wide = "" } = {}) {
  if (splits.length === 0) return nothing;
  const rows = [...splits].sort((one, other) => (other.lag ?? 0) - (one.lag ?? 0));
  return card("Splits", table("Splits", [
    { title: "Split", cell: (each) => each.split || "(no name)" },
    { title: "Pipeline", cell: (each) => linkTo("pipeline", each.pipeline) },
    { title: "Worker", cell: (each) => workerLink(each.worker) },
    { title: "Position", cell: (each) => html`<code>${plain(each.position, "start")}</code>` },
    { title: "End", cell: (each) => html`<code>${plain(each.end, NOTHING)}</code>` },
    { title: "Lag", isNumber: true, cell: (each) => count(each.lag) },
    { title: "Age", isNumber: true, cell: (each) => duration(each.lag_s) },
    { title: "Caught up", cell: caughtUp },
  ], rows), { wide, note: "the largest lags first" });
}

function plain(value, none) {
  if (value === null) return none;
  return typeof value === "string" ? value : JSON.stringify(value);
}

function caughtUp(split) {
  if (split.ended) {
    return split.problem ? html`${tag("failed", "unhealthy")} ${split.problem}` : "ended";
  }
  if (split.held) return html`${tag(`waits for ${duration(split.held_s)}`, "degraded")} ${split.held}`;
  return split.caught_up ? tag("yes", "healthy") : "no";
}

export function linksCard(links, { wide = "" } = {}) {
  if (links.length === 0) return nothing;
  return card("Links", table("Links between workers", [
    { title: "From", cell: (each) => workerLink(each.from) },
    { title: "To", cell: (each) => workerLink(each.to) },
    { title: "Bytes/s", isNumber: true, cell: (each) => bytes(each.bytes_per_s) },
    { title: "Queued", isNumber: true, cell: (each) => bytes(each.queued_bytes) },
    { title: "Reconnects", isNumber: true, cell: (each) => count(each.reconnects) },
  ], links), { wide, note: "connections to other workers" });
}
