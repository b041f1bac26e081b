// @ts-check
// The navigation at the side: everything that has a page, each with one number.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { count, rate } from "../format.js";
import { pathOf } from "../router.js";
import { swatch } from "./elements.js";
import { isStart } from "./graph_card.js";

const isWide = matchMedia("(min-width: 901px)");

export function places(snapshot, here) {
  const { graph } = snapshot;
  return html`<details ?open=${isWide.matches}><summary>Places</summary><div>
    <ul>${entry(here, "overview", "", "Overview")}</ul>
    ${group("Pipelines", pipelinesOf(snapshot).map((pipeline) =>
      entry(here, "pipeline", pipeline.name, pipeline.name, `${rate(pipeline.rate)}/s`)))}
    ${group("Steps", stepNamesOf(graph).map((step) =>
      entry(here, "step", step.name, step.name, `${rate(step.rate)}/s`)))}
    ${group("States", snapshot.states.map((state) =>
      entry(here, "state", state.name, state.name, `${count(state.keys)} keys`)))}
    ${group("Workers", snapshot.workers.map((worker) =>
      entry(here, "worker", worker.name, html`${swatch(worker.name)}${worker.name}`,
        worker.state === "running" ? `${rate(worker.in_rate)}/s` : worker.state)))}
  </div></details>`;
}

function group(title, entries) {
  if (entries.length === 0) return nothing;
  return html`<section><h2>${title}</h2><ul>${entries}</ul></section>`;
}

function entry(here, kind, name, text, fact = "") {
  const isHere = here.kind === kind && here.name === name;
  return html`<li><a href=${pathOf(kind, name)} aria-current=${isHere ? "page" : nothing}>
    <span>${text}</span><span>${fact}</span></a></li>`;
}

export function pipelinesOf(snapshot) {
  const sources = snapshot.graph.nodes.filter(isStart);
  return sources.map((source) => ({ name: source.pipeline, rate: source.rate, source }));
}

// The names of steps; a step of several pipelines is one entry.
export function stepNamesOf(graph) {
  const found = new Map();
  for (const node of graph.nodes) {
    if (node.kind !== "step") continue;
    const step = found.get(node.name) ?? { name: node.name, rate: 0, nodes: [] };
    step.rate += node.rate;
    step.nodes.push(node);
    found.set(node.name, step);
  }
  return [...found.values()];
}
