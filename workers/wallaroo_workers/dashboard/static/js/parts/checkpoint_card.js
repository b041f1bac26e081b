// @ts-check
// Checkpoints on a time line.

import { html } from "../../vendor/lit-html/lit-html.js";
import { drawCheckpoints } from "../charts/checkpoints.js";
import { bytes, clock, count, duration } from "../format.js";
import { card, chart, remembered, table } from "./elements.js";

const sameList = remembered((list) => list);

export function checkpointCard(snapshot, { wide = "" } = {}) {
  const { list, last_number: last, age_s: age } = snapshot.checkpoints;
  if (!snapshot.durable) {
    return card("Checkpoints", html`<p class="none">Off: if a worker is lost, its state is lost too.
      Start with <code>--resilience-dir</code> to keep it.</p>`, { wide });
  }
  if (list.length === 0) {
    return card("Checkpoints", html`<p class="none">No checkpoint has been taken yet.</p>`, { wide });
  }
  const longest = Math.max(...list.map((each) => each.pause_s ?? 0));
  const label = `The last ${list.length} checkpoints; the longest pause was ${duration(longest)}`;
  return card("Checkpoints", chart("low", drawCheckpoints, sameList(list), label, () => table(
    "Checkpoints, newest first", [
      { title: "Number", cell: (each) => each.number },
      { title: "Time", cell: (each) => clock(each.unix_s) },
      { title: "Pause", isNumber: true, cell: (each) => duration(each.pause_s) },
      { title: "Durable after", isNumber: true, cell: (each) => duration(each.duration_s) },
      { title: "Keys", isNumber: true, cell: (each) => count(each.keys) },
      { title: "Size", isNumber: true, cell: (each) => bytes(each.bytes) },
    ], [...list].reverse())), {
    wide,
    note: `number ${last}, ${duration(age)} ago; longest pause ${duration(longest)}`,
  });
}
