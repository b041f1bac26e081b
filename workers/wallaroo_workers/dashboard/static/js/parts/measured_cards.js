// What was measured of one pipeline or one step: its percentiles, and its rate over time.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { drawRates } from "../charts/lines.js";
import { count, duration, rate } from "../format.js";
import { card, table } from "./elements.js";
import { linesCard, windowChoice } from "./history_cards.js";

const PERCENTILES = [
  ["p50", "50 %"], ["p90", "90 %"], ["p99", "99 %"], ["p999", "99.9 %"], ["max", "all"],
];

// kind: "pipelines" or "steps"; history may have series of each.
export function measuredCards(kind, name, measured) {
  const latency = measured?.find((each) => each.name === name)?.latency;
  return html`<div class="row">
    ${linesCard(`Throughput of ${name}`, drawRates,
      [{ name: "in", colour: "series-in", isFilled: true }, { name: "out", colour: "series-out" }],
      rate, {
        wide: latency ? "wide-8" : "", end: windowChoice(), note: "records a second",
        pick: (history) => history[kind]?.[name],
      })}
    ${latency ? percentiles(latency, kind) : nothing}
  </div>`;
}

function percentiles(latency, kind) {
  const note = kind === "steps" ? "of its function" : "source to sink, 10 s";
  return card("Latency", table("Latency percentiles", [
    { title: "Records below", cell: ([, share]) => share },
    { title: "Time", isNumber: true, cell: ([name]) => duration(latency[name]) },
  ], PERCENTILES), { wide: "wide-4", note: `${note}; ${count(latency.count)} records` });
}
