// @ts-check
// Latencies: percentiles and a histogram.

import { html } from "../../vendor/lit-html/lit-html.js";
import { drawBins } from "../charts/bins.js";
import { count, duration, share } from "../format.js";
import { card, chart, remembered, table } from "./elements.js";

const PERCENTILES = [
  ["p50", "p50"], ["p90", "p90"], ["p99", "p99"], ["p999", "p99.9"], ["max", "max"],
];

const none = html`<p class="none">Nothing was measured in this period.</p>`;

export function percentilesCard(title, latency, note) {
  const body = latency?.count
    ? table(title, [
      { title: "Percentile", cell: ([, text]) => text },
      { title: "Time", isNumber: true, cell: ([name]) => duration(latency[name]) },
    ], PERCENTILES)
    : none;
  return card(title, body, { wide: "wide-3", note: latency?.count
    ? `${note}, ${count(latency.count)} records` : note });
}

const drawn = new Map();

// latencies: one or several; their bins are added
export function binsCard(title, latencies, note, { wide = "" } = {}) {
  const bins = joined(latencies);
  if (bins.length === 0) return card(title, none, { wide, note });
  const data = drawn.get(title) ?? remembered(withTotal);
  drawn.set(title, data);
  const { total } = data(bins);
  const label = `${title}, ${note}: ` + bins.filter(([, number]) => number > 0)
    .map(([below, number]) => `${share(number / total)} below ${duration(below)}`).join(", ");
  return card(title, chart("low", drawBins, data(bins), label, () => binsTable(title, bins, total)),
    { wide, note });
}

const withTotal = (bins) => ({ bins, total: bins.reduce((all, [, number]) => all + number, 0) });

function joined(latencies) {
  const counts = new Map();
  for (const [below, number] of latencies.flatMap((each) => each?.bins ?? [])) {
    counts.set(below, (counts.get(below) ?? 0) + number);
  }
  if (counts.size === 0) return [];
  const bounds = [...counts.keys()];
  const all = [];
  for (let below = Math.min(...bounds); below <= Math.max(...bounds); below *= 2) {
    all.push([below, counts.get(below) ?? 0]);
  }
  return all;
}

function binsTable(title, bins, total) {
  return table(title, [
    { title: "From", isNumber: true, cell: ([below]) => duration(below / 2) },
    { title: "to below", isNumber: true, cell: ([below]) => duration(below) },
    { title: "Share", isNumber: true, cell: ([, number]) => share(number / total) },
    { title: "Records", isNumber: true, cell: ([, number]) => count(number) },
  ], bins);
}
