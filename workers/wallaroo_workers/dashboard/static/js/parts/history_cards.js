// @ts-check
// Throughput and latency over time, with a choice of the time window.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { drawDurations, drawRates } from "../charts/lines.js";
import { clock, duration, many, rate } from "../format.js";
import { WINDOWS, chooseWindow, currentWindow } from "../history.js";
import { store } from "../store.js";
import { card, chart, table } from "./elements.js";

const TABLE_ROWS = 12;

export function windowChoice() {
  return html`<div class="choice" role="group" aria-label="How far back">${WINDOWS.map((each) => html`
    <button aria-pressed=${String(each.seconds === store.windowS)}
      @click=${() => chooseWindow(each.seconds)}>${each.label}</button>`)}</div>`;
}

const RATES = [
  { name: "in", colour: "series-in", isFilled: true },
  { name: "out", colour: "series-out" },
  { name: "failed", colour: "series-failed" },
];

const PERCENTILES = [
  { name: "p50", colour: "series-in" },
  { name: "p90", colour: "series-out" },
  { name: "p99", colour: "series-mid" },
  { name: "p999", colour: "series-high" },
];

export function throughputCard({ wide = "", end = nothing } = {}) {
  return linesCard("Throughput", drawRates, RATES, rate, { wide, end, note: "records per second" });
}

export function latencyCard({ wide = "", end = nothing } = {}) {
  const note = "from source to sink, percentiles";
  return linesCard("Latency", drawDurations, PERCENTILES, duration, { wide, end, note });
}

// pick(history) returns the series by name; the default is those of the cluster.
export function linesCard(title, draw, lines, format, options) {
  const { wide = "", end = nothing, note, pick = (all) => all } = options;
  const history = store.histories[store.windowS];
  const series = history ? pick(history) : null;
  if (!history) return card(title, loading, { wide, end, note });
  if (!series) return card(title, html`<p class="none">Nothing has been measured yet.</p>`, { wide, end });
  const data = dataOf(title, history, lines.filter((line) => series[line.name]), series);
  const label = `${title} over the last ${currentWindow().long}. ` +
    data.lines.map((line) => `${line.name} ${spread(line.values, format)}`).join("; ") +
    markedText(data);
  const body = chart("lines", draw, data, label, () => lineTable(title, data, format));
  return card(title, body, { wide, end, note });
}

const loading = html`<p class="none" aria-busy="true">Loading…</p>`;

// Describes the marks of a chart in words.
function markedText({ t, events }) {
  const seen = events.filter((event) => event.unix_s >= (t[0] ?? Infinity));
  return seen.length ? `. ${many(seen.length, "mark")}: ` +
    seen.map((event) => `${clock(event.unix_s)} ${event.text}`).join("; ") : "";
}

const made = new Map();

// Returns the same object for the same history, so that a chart is redrawn only if it has changed.
function dataOf(title, history, lines, series) {
  const known = made.get(title);
  if (known?.history === history) return known.data;
  const data = {
    t: history.t,
    windowS: store.windowS,
    events: store.snapshot.events,
    lines: lines.map((line) => ({ ...line, values: series[line.name] })),
  };
  made.set(title, { history, data });
  return data;
}

function spread(values, format) {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return "nothing measured";
  const last = values.at(-1);
  return `now ${format(last)}, lowest ${format(Math.min(...known))}, highest ${format(Math.max(...known))}`;
}

function lineTable(title, data, format) {
  const every = Math.max(1, Math.floor(data.t.length / TABLE_ROWS));
  const rows = data.t.map((second, index) => ({ second, index }))
    .filter(({ index }) => (data.t.length - 1 - index) % every === 0).reverse();
  return table(title, [
    { title: "Time", cell: ({ second }) => clock(second) },
    ...data.lines.map((line) => ({
      title: line.name, isNumber: true, cell: ({ index }) => format(line.values[index]),
    })),
  ], rows);
}
