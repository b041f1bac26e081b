// @ts-check
// The pages by kind.

import { overview } from "./overview.js";
import { pipelinePage } from "./pipeline.js";
import { statePage } from "./state.js";
import { stepPage } from "./step.js";
import { workerPage } from "./worker.js";

const PAGES = {
  overview, pipeline: pipelinePage, step: stepPage, worker: workerPage, state: statePage,
};

export const page = (kind) => PAGES[kind];
