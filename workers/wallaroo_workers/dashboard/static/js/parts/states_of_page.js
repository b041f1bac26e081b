// @ts-check
// What stands in place of the page, or above it, when there is nothing new to show.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { checkSecret } from "../api.js";
import { moment } from "../format.js";
import { followAgain } from "../live.js";
import { keepSecret } from "../secret.js";
import { changed } from "../store.js";

let trouble = "";

export function banner(connection, snapshot) {
  if (connection.kind === "gone") {
    return html`<div class="banner"><strong>No contact with the cluster since
      ${moment(connection.sinceMs / 1000)}.</strong>
      <span>${snapshot ? "What is shown is how it was then. " : ""}Trying again by itself.</span>
    </div>`;
  }
  return nothing;
}

// Reading needs the secret where the page is open to other machines.
export function unlock() {
  return html`<section class="card" aria-label="Locked">
    <header><h1 tabindex="-1">This cluster shows itself to those who know its secret</h1></header>
    <form class="unlock" @submit=${give}>
      <p><label>The cluster's secret
        <input name="secret" type="password" autocomplete="off" required></label>
      <button class="primary">Show</button></p>
      <p class="failed">${trouble}</p>
      <p class="muted">It is in the file that --secret-file named, or in WALLAROO_SECRET; without
        them in .wallaroo/cluster-PID.json where the cluster was started.</p>
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
