// @ts-check
// Looks up what a key has: its state object and pending timers, or its open windows.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { getKey } from "../api.js";
import { count, instant } from "../format.js";
import { changed, store } from "../store.js";
import { card, table, workerLink } from "./elements.js";

const KINDS = [
  ["str", "text"], ["int", "number"], ["bytes", "bytes"], ["bool", "true or false"],
  ["json", "tuple, as JSON"],
];

export function keyCard(state, { wide = "" } = {}) {
  const lookUp = store.lookUp?.state === state.name ? store.lookUp : null;
  const hottest = state.hottest[0]?.key ?? "";
  return card("Look up a key", html`<div class="key">
    <form @submit=${(event) => look(event, state.name)}>
      <label>Key <input name="key" required autocomplete="off" spellcheck="false"
        placeholder=${hottest} maxlength="4096"></label>
      <label>Kind <select name="kind">${KINDS.map(([kind, text]) => html`
        <option value=${kind}>${text}</option>`)}</select></label>
      <button class="primary" ?disabled=${lookUp?.isBusy}>Look up</button>
    </form>
    <div class="answer">${lookUp ? result(lookUp) : nothing}</div>
  </div>`, { wide, note: "what it has now" });
}

async function look(event, state) {
  event.preventDefault();
  const form = new FormData(event.target);
  const asked = { state, key: form.get("key"), isBusy: true, found: null, error: "" };
  store.lookUp = asked;
  changed();
  try {
    asked.found = await getKey(state, asked.key, form.get("kind"));
  } catch (error) {
    asked.error = error.message;
  }
  asked.isBusy = false;
  changed();
}

function result({ isBusy, found, error }) {
  if (isBusy) return html`<p class="muted">Asking the worker…</p>`;
  if (error) return html`<p class="failed">${error}</p>`;
  const { worker, type, text, value, windows = [], timers = [], window_count, ...others } = found;
  return html`<dl class="facts">
    ${fact("Worker", worker && workerLink(worker))}
    ${fact("Type", type && html`<code>${type}</code>`)}
    ${fact("State", text && html`<code>${text}</code>`)}
    ${fact("As JSON", value !== null && value !== undefined
      ? html`<code>${JSON.stringify(value, null, 1)}</code>` : undefined)}
    ${Object.entries(others).filter(([name]) => !["state", "key", "key_type"].includes(name))
      .map(([name, each]) => fact(name.replaceAll("_", " "),
        typeof each === "object" ? JSON.stringify(each) : String(each)))}
  </dl>
  ${windows.length ? windowTable(windows, window_count) : nothing}
  ${timers.length ? timerTable(timers) : nothing}`;
}

function windowTable(windows, all) {
  const caption = all > windows.length ? `The first ${count(windows.length)} of ${count(all)} windows`
    : "Windows that have not fired";
  return table(caption, [
    { title: "From", cell: (each) => instant(each.start) },
    { title: "To", cell: (each) => instant(each.end) },
    { title: "Accumulator", cell: (each) => html`<code>${each.text}</code>` },
  ], windows, { isCaptionSeen: true });
}

function timerTable(timers) {
  return table("Pending timers and alarms", [
    { title: "Name", cell: (each) => html`<code>${each.name}</code>` },
    { title: "Kind", cell: (each) => each.kind },
    { title: "At", cell: (each) => instant(each.at) },
  ], timers, { isCaptionSeen: true });
}

function fact(name, value) {
  if (value === undefined || value === null || value === "") return nothing;
  return html`<dt>${name}</dt><dd>${value}</dd>`;
}
