// @ts-check
// The page of an address that means nothing, or of a name that is not there (any more).

import { html } from "../../vendor/lit-html/lit-html.js";
import { heading } from "../parts/elements.js";

export function missing(_snapshot, name) {
  return html`${heading("Not here", `The cluster has nothing called ${name}.`)}
    <p><a href="/">To the overview</a></p>`;
}
