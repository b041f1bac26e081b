// @ts-check
// States: the owners of their partitions, how even these are, and the hottest keys.

import { html } from "../../vendor/lit-html/lit-html.js";
import { drawHotKeys } from "../charts/hot_keys.js";
import { drawRing } from "../charts/ring.js";
import { bytes, count, many, share } from "../format.js";
import { store } from "../store.js";
import { card, chart, linkTo, remembered, table, workerLink } from "./elements.js";

const rings = new Map();

function ringData(state) {
  const known = rings.get(state.name) ??
    remembered((name, partitions, workers) => ({ name, partitions, workers }));
  rings.set(state.name, known);
  return known(state.name, state.partitions, store.snapshot.workers.map((each) => each.name));
}

// How uneven the keys are: how much the fullest worker has beyond an even share.
function evenness(state) {
  const workers = Object.keys(state.partitions.by_worker).length;
  // With one key or one worker nothing can be uneven.
  if (!Number.isFinite(state.skew) || workers < 2 || state.keys < 2) return "";
  const beyond = Math.max(0, state.skew - 1);
  return beyond < 0.05 ? "keys are spread evenly"
    : `the fullest worker has ${share(beyond)} more keys than an even share`;
}

export function ringCard(state, { wide = "", isLinked = true } = {}) {
  const parts = Object.values(state.partitions.by_worker);
  const label = `Ring of ${state.name}: ${many(state.partitions.count, "partition")}, ` +
    `${Math.min(...parts)} to ${Math.max(...parts)} a worker; ${evenness(state)}`;
  return card(`Ring of ${state.name}`, html`
    ${chart("ring", drawRing, ringData(state), label)}${byWorkerTable(state)}`, {
    wide,
    note: evenness(state),
    end: isLinked ? linkTo("state", state.name, "keys") : "",
  });
}

function byWorkerTable(state) {
  const workers = Object.keys(state.partitions.by_worker);
  return table(`Owners of ${state.name}`, [
    { title: "Worker", cell: workerLink },
    { title: "Partitions", isNumber: true, cell: (each) => count(state.partitions.by_worker[each]) },
    { title: "Keys", isNumber: true, cell: (each) => count(state.by_worker[each]?.keys) },
    { title: "Size", isNumber: true, cell: (each) => bytes(state.by_worker[each]?.bytes) },
  ], workers);
}

export function hotKeysCard(states, { wide = "", title = "Hottest keys" } = {}) {
  const shown = states.filter((state) => state.hottest.length > 0);
  const body = shown.length === 0 ? html`<p class="none">No key stands out.</p>`
    : shown.map((state) => html`
      ${states.length > 1 ? html`<h3>${linkTo("state", state.name)}</h3>` : ""}
      ${hotKeys(state)}`);
  return card(title, body, { wide, note: "share of the records of their state" });
}

function hotKeys(state) {
  const hottest = state.hottest.slice(0, 8);
  const data = { hottest, workers: store.snapshot.workers.map((each) => each.name) };
  const label = `Hottest keys of ${state.name}: ` +
    hottest.map((each) => `${each.key} ${share(each.share)}`).join(", ");
  return chart("bars", drawHotKeys, data, label, () => table(`Hottest keys of ${state.name}`, [
    { title: "Key", cell: (each) => html`<code>${each.key}</code>` },
    { title: "Share", isNumber: true, cell: (each) => share(each.share) },
    { title: "Seen", isNumber: true, cell: (each) => count(each.count) },
    { title: "Worker", cell: (each) => workerLink(each.worker) },
  ], state.hottest));
}
