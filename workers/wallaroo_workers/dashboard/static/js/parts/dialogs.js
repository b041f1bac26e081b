// @ts-check
// The dialogs of the buttons: what will happen, the input it needs, and its result.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { live } from "../../vendor/lit-html/directives/live.js";
import { act } from "../api.js";
import { count, duration } from "../format.js";
import { keepSecret, secret } from "../secret.js";
import { changed, store } from "../store.js";

const ACTIONS = {
  checkpoint: {
    title: "Take a checkpoint now",
    text: () => "All workers save the keys that have changed. Records wait for some milliseconds.",
    verb: "Take checkpoint",
  },
  grow: {
    title: "Add workers",
    text: () => "Sources pause until the new workers have taken over their partitions; nothing is lost.",
    verb: "Add workers",
  },
  shrink: {
    title: "Remove workers",
    text: () => "The chosen workers hand over their partitions and end; nothing is lost.",
    verb: "Remove workers",
  },
  stop: {
    title: "Stop the cluster",
    text: (snapshot) => snapshot.durable
      ? "Accepted records are processed and delivered, then all processes end. Run the command " +
        "again with the same --resilience-dir to continue."
      : "Accepted records are processed and delivered, then all processes end. Checkpoints are " +
        "off, so all state is lost.",
    verb: "Stop the cluster",
    isDangerous: true,
  },
};

// action, isBusy, outcome: { isGood, text }
let open = null;

export function openAction(action) {
  open = { action, isBusy: false, outcome: null };
  store.progress = null;
  changed();
  requestAnimationFrame(() => requestAnimationFrame(() => {
    const dialog = dialogElement();
    if (dialog && !dialog.open) dialog.showModal();
  }));
}

function close() {
  dialogElement()?.close();
}

/** @returns {HTMLDialogElement | null} */
function dialogElement() {
  return document.querySelector("#dialogs dialog");
}

function closed() {
  open = null;
  changed();
}

export function dialogs(snapshot) {
  if (!open || !snapshot) return nothing;
  const { title, text, verb, isDangerous } = ACTIONS[open.action];
  const isDone = open.outcome?.isGood;
  return html`<dialog aria-labelledby="dialog-title" @close=${closed}>
    <form @submit=${submitted}>
      <h2 id="dialog-title">${title}</h2>
      <p>${text(snapshot)}</p>
      ${isDone ? nothing : html`${fields(snapshot)}${secretField()}`}
      ${outcome()}
      <div class="buttons">
        <button type="button" @click=${close}>${isDone ? "Close" : "Cancel"}</button>
        ${isDone ? nothing : html`<button class="primary ${isDangerous ? "danger" : ""}"
          ?disabled=${open.isBusy}>${open.isBusy ? "In progress…" : verb}</button>`}
      </div>
    </form>
  </dialog>`;
}

function fields(snapshot) {
  if (open.action === "grow") {
    return html`<label>How many
      <input name="count" type="number" min="1" max="64" value="1" required></label>`;
  }
  if (open.action === "shrink") {
    return html`<fieldset><legend>Workers to remove</legend>${snapshot.workers.map((worker) => html`
      <label><input type="checkbox" name="worker" value=${worker.name}>
        ${worker.name} <span class="muted">${count(worker.keys)} keys</span></label>`)}</fieldset>`;
  }
  return nothing;
}

function secretField() {
  return html`<label>The cluster's secret
    <small>Kept in this tab until you close it.</small>
    <input name="secret" type="password" autocomplete="off" required .value=${live(open.secret ?? secret() ?? "")}
      @input=${(event) => { open.secret = event.target.value; }}></label>`;
}

function outcome() {
  if (open.outcome) {
    const kind = open.outcome.isGood ? "is-good" : "is-bad";
    return html`<p class="outcome ${kind}" tabindex="-1">${open.outcome.text}</p>`;
  }
  if (open.isBusy) {
    const said = store.progress?.action === open.action ? toldOf(store.progress) : "";
    return html`<p class="outcome">In progress. ${said}</p>`;
  }
  return nothing;
}

async function submitted(event) {
  event.preventDefault();
  if (open.isBusy) return;
  const form = new FormData(event.target);
  const asked = open;
  const params = paramsOf(asked.action, form);
  if (asked.action === "shrink" && params.names.length === 0) {
    show(asked, false, "Choose at least one worker.");
    return;
  }
  keepSecret(String(form.get("secret")).trim());
  Object.assign(asked, { isBusy: true, outcome: null });
  changed();
  try {
    show(asked, true, doneText(asked.action, await act(asked.action, params)));
  } catch (error) {
    if (error.status === 401) keepSecret(null);
    // The page stops with the cluster, so the answer may not arrive.
    if (asked.action === "stop" && error.status === 0) show(asked, true, "The cluster has stopped.");
    else show(asked, false, error.message);
  }
}

function show(asked, isGood, text) {
  Object.assign(asked, { isBusy: false, outcome: { isGood, text } });
  changed();
  requestAnimationFrame(() => requestAnimationFrame(() => {
    /** @type {HTMLElement | null} */
    const element = document.querySelector("#dialogs .outcome");
    element?.focus();
  }));
}

function paramsOf(action, form) {
  if (action === "grow") return { workers: Number(form.get("count")) };
  if (action === "shrink") return { names: form.getAll("worker") };
  return {};
}

function doneText(action, facts) {
  if (action === "stop") return "The cluster has stopped.";
  const told = toldOf(facts);
  return told ? `Done. ${told}` : "Done.";
}

// The facts of an answer or of its progress, as one line of text.
function toldOf(facts) {
  return Object.entries(facts)
    .filter(([name, value]) => name !== "action" && value !== null && `${value}` !== "")
    .map(([name, value]) => `${name.replace(/_s$/, "").replaceAll("_", " ")}: ${valueText(name, value)}`)
    .join(", ");
}

function valueText(name, value) {
  if (typeof value === "number") return name.endsWith("_s") ? duration(value) : count(value);
  if (Array.isArray(value)) return value.length ? value.join(", ") : "none";
  if (typeof value === "object") {
    return Object.entries(value).map(([inner, each]) => `${inner} ${each}`).join(", ");
  }
  return String(value);
}
