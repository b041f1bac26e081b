// @ts-check
// What is shown instead of the page, or above it, if there is no new data.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { checkSecret } from "../api.js";
import { moment } from "../format.js";
import { followAgain } from "../live.js";
import { keepSecret } from "../secret.js";
import { changed } from "../store.js";

let trouble = "";

export function banner(connection, snapshot) {
  if (connection.kind === "gone") {
    return html`<div class="banner"><strong>Disconnected from the cluster since
      ${moment(connection.sinceMs / 1000)}.</strong>
      <span>${snapshot ? "The page shows its last known state. " : ""}Reconnecting…</span>
    </div>`;
  }
  return nothing;
}

// Reading needs the secret if the page is open to other machines.
export function unlock() {
  return html`<section class="card" aria-label="Locked">
    <header><h1 tabindex="-1">This page needs the secret of the cluster</h1></header>
    <form class="unlock" @submit=${give}>
      <p><label>The cluster's secret
        <input name="secret" type="password" autocomplete="off" required></label>
      <button class="primary">Show</button></p>
      <p class="failed">${trouble}</p>
      <p class="muted">It is in the file given as --secret-file, or in WALLAROO_SECRET; otherwise
        in .wallaroo/cluster-PID.json in the folder where the cluster was started.</p>
    </form></section>`;
}

async function give(event) {
  event.preventDefault();
  const given = String(new FormData(event.target).get("secret")).trim();
  try {
    await checkSecret(given);
    keepSecret(given);
    trouble = "";
    followAgain();
  } catch (error) {
    trouble = error.message;
  }
  changed();
}
