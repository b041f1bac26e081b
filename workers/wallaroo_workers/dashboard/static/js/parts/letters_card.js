// @ts-check
// Records that failed, with error and payload. All of this text is untrusted.

import { html } from "../../vendor/lit-html/lit-html.js";
import { clock, many, payload } from "../format.js";
import { card, linkTo, table, workerLink } from "./elements.js";

export function lettersCard(letters, { wide = "", most = 25 } = {}) {
  const newest = letters.slice(-most).reverse();
  const body = html`<div class="letters">${table("Records that failed, the newest first", [
    { title: "Time", cell: (each) => clock(each.unix_s) },
    { title: "Step", cell: (each) => (each.step
      ? html`<span class="nowrap">${linkTo("step", each.step)}</span>` : "") },
    { title: "Key", cell: (each) => (each.key === null ? "" : html`<code>${each.key}</code>`) },
    { title: "Error", cell: (each) => html`<code class="failed">${each.error}</code>` },
    { title: "Payload", cell: (each) => html`<code tabindex="0">${payload(each.payload)}</code>` },
    { title: "Worker", cell: (each) => workerLink(each.worker) },
  ], newest, { none: "No record failed." })}</div>`;
  const note = letters.length > most
    ? `the newest ${most} of ${many(letters.length, "record")} kept here` : "";
  return card("Dead letters", body, { wide, note });
}
