// The pages by their kind.

import { html } from "../../vendor/lit-html/lit-html.js";
import { heading } from "../parts/elements.js";
import { overview } from "./overview.js";
import { pipelinePage } from "./pipeline.js";
import { statePage } from "./state.js";
import { stepPage } from "./step.js";
import { workerPage } from "./worker.js";

const PAGES = {
  overview, pipeline: pipelinePage, step: stepPage, worker: workerPage, state: statePage,
};

export const page = (kind) => PAGES[kind];

// For an address that means nothing, or a name that is not there (any more).
export function missing(_snapshot, name) {
  return html`${heading("Not here", `The cluster has nothing called ${name}.`)}
    <p><a href="/">To the overview</a></p>`;
}
