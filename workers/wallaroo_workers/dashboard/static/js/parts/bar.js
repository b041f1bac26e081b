// @ts-check
// The bar at the top: the application, its health, and the buttons.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { clock } from "../format.js";
import { changed } from "../store.js";
import { isDark, switchTheme } from "../theme.js";
import { openAction } from "./dialogs.js";

const HEALTH = {
  healthy: { mark: "●", text: "The cluster is healthy" },
  degraded: { mark: "▲", text: "The cluster is degraded" },
  unhealthy: { mark: "✕", text: "The cluster is unhealthy" },
};

export function bar(snapshot, connection) {
  return html`
    <a class="brand" href="/"><img src="/static/icon.svg" alt="" width="24" height="24">
      <span>${snapshot?.application ?? "Wallaroo"}
        <small>${snapshot ? "on Wallaroo Streams" : ""}</small></span></a>
    ${healthLine(snapshot, connection)}
    ${snapshot ? buttons(snapshot, connection) : nothing}`;
}

// The only live region of the page. It changes with the health, not with every number.
function healthLine(snapshot, connection) {
  const { state, mark, text } = healthOf(snapshot, connection);
  return html`<p class="health-line" role="status" data-health=${state}>
    <span class="mark" aria-hidden="true">${mark}</span><span>${text}</span></p>`;
}

export function healthOf(snapshot, connection) {
  if (connection.kind === "gone") {
    const since = clock(connection.sinceMs / 1000);
    return { state: "unhealthy", mark: "✕", text: `Disconnected since ${since}` };
  }
  if (connection.kind === "locked") return { state: "", mark: "○", text: "Locked" };
  if (!snapshot) return { state: "", mark: "○", text: "Connecting" };
  const state = snapshot.health.state;
  return { state, ...(HEALTH[state] ?? { mark: "○", text: `The cluster is ${state}` }) };
}

function buttons(snapshot, connection) {
  const isOff = connection.kind !== "live";
  return html`<div class="operate" role="group" aria-label="Operate the cluster">
    <button ?disabled=${isOff || !snapshot.durable} @click=${() => openAction("checkpoint")}
      title=${snapshot.durable ? "" : "Checkpoints are off: start with --resilience-dir"}>
      Checkpoint</button>
    <button ?disabled=${isOff} @click=${() => openAction("grow")}>Grow</button>
    <button ?disabled=${isOff || snapshot.workers.length < 2}
      @click=${() => openAction("shrink")}>Shrink</button>
    <button class="danger" ?disabled=${isOff} @click=${() => openAction("stop")}>Stop</button>
    <button class="theme" @click=${switchTheme} aria-label=${isDark() ? "Light colours" : "Dark colours"}
      title=${isDark() ? "Light colours" : "Dark colours"}>
      <span aria-hidden="true">${isDark() ? "☀" : "☾"}</span></button>
  </div>`;
}

document.addEventListener("theme-changed", changed);
