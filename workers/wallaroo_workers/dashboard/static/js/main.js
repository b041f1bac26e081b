// @ts-check
// Builds the page and redraws it whenever something has changed.

import { html, nothing, render } from "../vendor/lit-html/lit-html.js";
import "./charts/element.js";
import { refreshHistory } from "./history.js";
import { follow } from "./live.js";
import { bar } from "./parts/bar.js";
import { dialogs } from "./parts/dialogs.js";
import { places } from "./parts/places.js";
import { banner, unlock } from "./parts/states_of_page.js";
import { missing } from "./pages/missing.js";
import { page } from "./pages/pages.js";
import { currentPlace, onMove } from "./router.js";
import { onChange, store } from "./store.js";

const parts = ["bar", "places", "main", "dialogs"].map((id) => document.getElementById(id));
const [barElement, placesElement, mainElement, dialogsElement] = parts;

function draw() {
  const place = currentPlace();
  const { snapshot, connection } = store;
  render(bar(snapshot, connection), barElement);
  render(snapshot ? places(snapshot, place) : nothing, placesElement);
  render([banner(connection, snapshot), content(snapshot, place, connection)], mainElement);
  render(dialogs(snapshot), dialogsElement);
  mainElement.classList.toggle("is-stale", connection.kind === "gone" && snapshot !== null);
  mainElement.setAttribute("aria-busy", String(snapshot === null));
  const title = place.kind === "overview" ? "" : `${place.name || "?"} · `;
  document.title = `${title}${snapshot?.application ?? "Wallaroo Streams"}`;
  if (snapshot) refreshHistory();
}

function content(snapshot, place, connection) {
  if (connection.kind === "locked") return unlock();
  if (!snapshot) {
    return connection.kind === "opening" ? html`<p class="none">Loading…</p>` : nothing;
  }
  return (page(place.kind) ?? missing)(snapshot, place.name);
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  mainElement.focus();
});
onChange(draw);
onMove(() => requestAnimationFrame(() => document.querySelector("h1")?.focus()));
draw();
follow();
