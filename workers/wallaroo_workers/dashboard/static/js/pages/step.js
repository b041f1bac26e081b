// @ts-check
// The page of a step, in all pipelines that use it.

import { html } from "../../vendor/lit-html/lit-html.js";
import { kindOf } from "../charts/graph.js";
import { count, rate, share } from "../format.js";
import { card, heading, linkTo, tiles } from "../parts/elements.js";
import { graphCard, nodesTable } from "../parts/graph_card.js";
import { lettersCard } from "../parts/letters_card.js";
import { stepCards } from "../parts/measured_cards.js";
import { hotKeysCard } from "../parts/state_cards.js";
import { missing } from "./missing.js";

export function stepPage(snapshot, name) {
  const nodes = snapshot.graph.nodes.filter((node) => node.kind === "step" && node.name === name);
  if (nodes.length === 0) return missing(snapshot, name);
  const sum = (field) => nodes.reduce((all, node) => all + (node[field] ?? 0), 0);
  const states = snapshot.states.filter((state) => nodes.some((node) => node.state === state.name));
  return html`
    ${heading(name, html`step, ${kindOf(nodes[0])}${states.map((state) =>
      html` ${linkTo("state", state.name, "see its state")}`)}`)}
    ${tiles([
      { name: "Records", value: rate(sum("rate")), unit: "/s", note: `${count(sum("in"))} in total`,
        isWarned: nodes.some((node) => node.under_pressure) },
      { name: "Out", value: count(sum("out")), note: "in total" },
      { name: "Filtered", value: count(sum("filtered")), note: "no result" },
      { name: "Failed", value: count(sum("failed")), isBad: sum("failed") > 0, note: "dead letters" },
      { name: "Time in function", value: share(sum("user_share")), note: "of its pipeline's work" },
    ], "Figures of the step")}
    ${graphCard("Neighbours", around(snapshot.graph, nodes))}
    ${stepCards(name, nodes)}
    ${card("In each pipeline", nodesTable(nodes))}
    ${states.length ? hotKeysCard(states) : ""}
    ${lettersCard(snapshot.dead_letters.filter((each) => each.step === name))}`;
}

// The step with the nodes directly before and after it.
function around(graph, nodes) {
  const ids = new Set(nodes.map((node) => node.id));
  const edges = graph.edges.filter((edge) => ids.has(edge.from) || ids.has(edge.to));
  const near = new Set([...ids, ...edges.flatMap((edge) => [edge.from, edge.to])]);
  return { nodes: graph.nodes.filter((node) => near.has(node.id)), edges };
}
