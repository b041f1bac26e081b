// @ts-check
// Event time: how far the clock of each state is, and what it waits for.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { count, duration, instant, rate } from "../format.js";
import { card, linkTo, table, tag } from "./elements.js";

// clocks: those of all states that time changes, or of one of them
export function timeCard(clocks, { isLinked = true } = {}) {
  if (clocks.length === 0) return nothing;
  return card("Time", table("Clocks of states", [
    { title: "State", cell: (each) => (isLinked ? linkTo("state", each.state) : each.state) },
    { title: "Clock", cell: clockCell },
    { title: "Behind", isNumber: true, cell: (each) => duration(each.lag_s) },
    { title: "Late", isNumber: true, cell: (each) => count(each.late) },
    { title: "Late/s", isNumber: true, cell: (each) => rate(each.late_rate) },
    { title: "Open", isNumber: true, cell: (each) => count(each.open) },
    { title: "Waits for", cell: (each) => each.held_by },
  ], clocks), { note: "the slowest clock of all workers; windows that it has passed are closed" });
}

function clockCell(each) {
  const time = each.ended ? "ended" : instant(each.clock_ns);
  return html`<span class="nowrap">${time}</span> ${each.due ? tag("results due") : nothing}`;
}
