// @ts-check
// The overview: whether the cluster is healthy, and its main figures.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { bytes, count, duration, many, rate } from "../format.js";
import { checkpointCard } from "../parts/checkpoint_card.js";
import { heading, tiles } from "../parts/elements.js";
import { eventsCard } from "../parts/events_card.js";
import { graphCard } from "../parts/graph_card.js";
import { latencyCard, throughputCard, windowChoice } from "../parts/history_cards.js";
import { lettersCard } from "../parts/letters_card.js";
import { logCard } from "../parts/log_card.js";
import { hotKeysCard, ringCard } from "../parts/state_cards.js";
import { timeCard } from "../parts/time_card.js";
import { workersCard } from "../parts/worker_cards.js";

export function overview(snapshot) {
  const { states } = snapshot;
  return html`
    ${heading(snapshot.application, summary(snapshot))}
    ${reasons(snapshot.health)}
    ${overviewTiles(snapshot)}
    ${graphCard("Application", snapshot.graph)}
    ${timeCard(snapshot.clocks)}
    <div class="row">
      ${throughputCard({ wide: "wide-6", end: windowChoice() })}
      ${latencyCard({ wide: "wide-6", end: windowChoice() })}
    </div>
    ${workersCard(snapshot.workers)}
    <div class="row">
      ${states.map((state) => ringCard(state, { wide: "wide-6" }))}
      <div class="stack wide-6">
        ${states.length ? hotKeysCard(states) : nothing}
        ${checkpointCard(snapshot)}
      </div>
    </div>
    ${eventsCard(snapshot.events, snapshot.now_unix_s)}
    ${lettersCard(snapshot.dead_letters, { most: 8 })}
    ${logCard(snapshot.log)}`;
}

function summary(snapshot) {
  const up = duration(Math.floor(snapshot.now_unix_s - snapshot.started_unix_s));
  return `${snapshot.phase}, ${many(snapshot.workers.length, "worker")}, up ${up}, ` +
    `epoch ${snapshot.epoch}`;
}

export function reasons({ state, reasons: all }) {
  if (all.length === 0) return nothing;
  return html`<ul class="reasons" data-health=${state} aria-label="Why">${all.map((reason) => html`
    <li>${reason}</li>`)}</ul>`;
}

function overviewTiles(snapshot) {
  const { rates, totals, latency, checkpoints, workers, durable } = snapshot;
  const backlog = workers.reduce((sum, worker) => sum + (worker.backlog_bytes ?? 0), 0);
  return tiles([
    { name: "In", value: rate(rates.in), unit: "records/s", note: `${count(totals.in)} in total` },
    { name: "Out", value: rate(rates.out), unit: "records/s", note: `${count(totals.out)} in total` },
    { name: "Failed", value: rate(rates.failed), unit: "records/s",
      note: `${count(totals.failed)} in total`, isBad: rates.failed > 0 },
    { name: "Latency p50", value: duration(latency.p50), note: "source to sink, 10 s" },
    { name: "Latency p99", value: duration(latency.p99),
      note: `p99.9 ${duration(latency.p999)}` },
    { name: "Backlog", value: bytes(backlog), note: "waiting in all workers",
      isWarned: workers.some((worker) => worker.paused) },
    { name: "Last checkpoint", value: durable ? duration(checkpoints.age_s) : "off",
      note: durable ? `number ${count(checkpoints.last_number)}` : "a crash loses all state",
      isWarned: !durable },
  ], "Figures of the cluster");
}
