// @ts-check
// Events of the cluster: losses, recoveries, resizes. Charts have a mark for each of them.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { many, recent } from "../format.js";
import { card, table } from "./elements.js";

export function eventsCard(events, nowS, { wide = "", most = 12 } = {}) {
  const newest = events.slice(-most).reverse();
  const body = html`<div class="events">${table("What happened, the newest first", [
    { title: "Time", cell: (each) => html`<span class="nowrap">${recent(each.unix_s, nowS)}</span>` },
    { title: "What", cell: (each) => html`<span class=${each.level}>${each.text}</span>${
      each.count > 1 ? html` <span class="muted">${many(each.count, "time")}, the last ${
        recent(each.last_unix_s, nowS)}</span>` : nothing}` },
    { title: "Log event", cell: (each) => html`<code>${each.kind}</code>` },
  ], newest, { none: "Nothing has happened yet." })}</div>`;
  return card("Events", body, { wide, note: "each one is marked in the charts" });
}
