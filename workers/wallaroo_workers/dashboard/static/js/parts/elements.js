// @ts-check
// Elements that all pages use.

import { Directive, directive } from "../../vendor/lit-html/directive.js";
import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { WORKER_COLOURS } from "../charts/palette.js";
import { pathOf } from "../router.js";
import { changed, store } from "../store.js";

// A card with a heading, a `note` beside it, and `end` at the right.
export function card(title, body, { note = nothing, end = nothing, wide = "" } = {}) {
  return html`<section class="card ${wide}" aria-label=${title}>
    <header>
      <h2>${title}</h2>
      <p>${note}</p>
      <div class="end">${end}</div>
    </header>
    ${body}
  </section>`;
}

// The heading of a page.
export function heading(title, note) {
  return html`<div class="heading"><h1 tabindex="-1">${title}</h1><p>${note}</p></div>`;
}

// columns: [{ title, cell(row), isNumber }]; the first one names the row.
export function table(caption, columns, rows, { isCaptionSeen = false, none = "" } = {}) {
  if (rows.length === 0 && none) return html`<p class="none">${none}</p>`;
  const kind = (column) => (column.isNumber ? "number" : "");
  return html`<div class="scroll" tabindex="0" role="group" aria-label=${caption}><table>
    <caption class=${isCaptionSeen ? "muted" : "unseen"}>${caption}</caption>
    <thead><tr>${columns.map((column) => html`
      <th scope="col" class=${kind(column)}>${column.title}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr>${columns.map((column, index) => index === 0
      ? html`<th scope="row" class=${kind(column)}>${column.cell(row)}</th>`
      : html`<td class=${kind(column)}>${column.cell(row)}</td>`)}</tr>`)}</tbody>
  </table></div>`;
}

// A chart with a description in words, and below it the same data as a table from `asTable()`.
export function chart(className, draw, data, label, asTable = nothing) {
  return html`
    <live-chart class=${className} .draw=${draw} .data=${data} aria-label=${label}></live-chart>
    ${asTable === nothing ? nothing : html`<details class="as-table" @toggle=${changed}>
      <summary>As a table</summary>${whenOpen(asTable)}</details>`}`;
}

// A table is built only when it is opened.
const whenOpen = directive(class extends Directive {
  #details = null;

  update(part, [make]) {
    this.#details = part.parentNode;
    return this.#details.open ? this.render(make) : nothing;
  }

  render(make) {
    return make();
  }
});

// facts: [{ name, value, unit, note, isBad, isWarned }]
export function tiles(facts, label) {
  return html`<dl class="card tiles" aria-label=${label}>${facts.map((fact) => html`
    <div class="${fact.isBad ? "is-bad" : ""} ${fact.isWarned ? "is-warned" : ""}">
      <dt>${fact.name}</dt>
      <dd>${fact.value}${fact.unit ? html` <small>${fact.unit}</small>` : nothing}</dd>
      ${fact.note ? html`<dd>${fact.note}</dd>` : nothing}
    </div>`)}</dl>`;
}

export const linkTo = (kind, name, text = name) => html`<a href=${pathOf(kind, name)}>${text}</a>`;

export function swatch(worker) {
  const index = store.snapshot.workers.findIndex((each) => each.name === worker);
  return index < 0 ? nothing
    : html`<span class="swatch" data-worker=${index % WORKER_COLOURS} aria-hidden="true"></span>`;
}

export const workerLink = (worker) => html`<span class="nowrap">${swatch(worker)}${
  linkTo("worker", worker)}</span>`;

export function tag(text, kind = "") {
  return html`<span class="tag ${kind}">${text}</span>`;
}

// A share as a small bar with its number.
export function shareBar(value, text, name, { high = 1 } = {}) {
  if (!Number.isFinite(value)) return text;
  return html`<span class="nowrap"><meter min="0" max="1" low="0" high=${high} optimum="0"
    .value=${Math.min(1, value)} aria-label="${name} ${text}"></meter> ${text}</span>`;
}

// Returns the previous result of `build(data)` while `data` is equal by value, so that charts whose
// data has not changed are not redrawn.
export function remembered(build) {
  let key = null;
  let result = null;
  return (...parts) => {
    const now = JSON.stringify(parts);
    if (now !== key) {
      key = now;
      result = build(...parts);
    }
    return result;
  };
}
