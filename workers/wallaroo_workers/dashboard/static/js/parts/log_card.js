// @ts-check
// The last lines of the log, newest first.

import { html } from "../../vendor/lit-html/lit-html.js";
import { clock } from "../format.js";
import { card } from "./elements.js";

export function logCard(lines, { wide = "", title = "Log" } = {}) {
  if (lines.length === 0) return card(title, html`<p class="none">Nothing yet.</p>`, { wide });
  const body = html`<div class="log" tabindex="0" role="group" aria-label="Log lines, the newest first">
    <ol>${[...lines].reverse().map(logLine)}</ol></div>`;
  return card(title, body, { wide, note: "newest first" });
}

function logLine({ unix_s: second, level, event, fields }) {
  const facts = Object.entries(fields ?? {}).map(([name, value]) =>
    `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return html`<li><time>${clock(second)}</time><span class=${level}>${level}</span>
    <span><b>${event}</b> ${facts.join("  ")}</span></li>`;
}
