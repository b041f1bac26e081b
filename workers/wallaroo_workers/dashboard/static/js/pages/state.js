// @ts-check
// The page of a state: its ring, its hottest keys, and a look-up of a key.

import { html } from "../../vendor/lit-html/lit-html.js";
import { bytes, count, share } from "../format.js";
import { heading, tiles } from "../parts/elements.js";
import { graphCard } from "../parts/graph_card.js";
import { keyCard } from "../parts/key_card.js";
import { hotKeysCard, ringCard } from "../parts/state_cards.js";
import { timeCard } from "../parts/time_card.js";
import { missing } from "./missing.js";

export function statePage(snapshot, name) {
  const state = snapshot.states.find((each) => each.name === name);
  if (!state) return missing(snapshot, name);
  const steps = snapshot.graph.nodes.filter((node) => node.state === name);
  const hottest = state.hottest[0];
  return html`
    ${heading(name, "state")}
    ${tiles([
      { name: "Keys", value: count(state.keys) },
      { name: "Size", value: bytes(state.bytes), note: "estimated" },
      { name: "Partitions", value: count(state.partitions.count) },
      { name: "Fullest worker", value: Number.isFinite(state.skew) ? `${state.skew.toFixed(2)} ×` : "–",
        note: "of an even share", isWarned: state.skew > 1.5 },
      { name: "Hottest key", value: hottest ? share(hottest.share) : "–",
        note: hottest ? `${hottest.key} on ${hottest.worker}` : "no key is hot" },
    ], "Figures of the state")}
    ${timeCard(snapshot.clocks.filter((each) => each.state === name), { isLinked: false })}
    ${keyCard(state)}
    <div class="row">
      ${ringCard(state, { wide: "wide-6", isLinked: false })}
      ${hotKeysCard([state], { wide: "wide-6" })}
    </div>
    ${graphCard("Steps that use it", { nodes: steps, edges: [] })}`;
}
