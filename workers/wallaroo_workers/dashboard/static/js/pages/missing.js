// @ts-check
// The page for an unknown address, or for a name that does not exist (any more).

import { html } from "../../vendor/lit-html/lit-html.js";
import { heading } from "../parts/elements.js";

export function missing(_snapshot, name) {
  return html`${heading("Not here", `The cluster has nothing called ${name}.`)}
    <p><a href="/">Go to the overview</a></p>`;
}
