// @ts-check
// Maps addresses to pages. Links within the page are followed without reloading it.

import { changed } from "./store.js";

const KINDS = { pipelines: "pipeline", steps: "step", workers: "worker", states: "state" };

export function currentPlace() {
  const [, folder, ...rest] = location.pathname.split("/");
  if (!folder) return { kind: "overview", name: "" };
  return { kind: KINDS[folder] ?? "missing", name: decodeURIComponent(rest.join("/")) };
}

export function pathOf(kind, name) {
  return kind === "overview" ? "/" : `/${kind}s/${encodeURIComponent(name)}`;
}

export function goTo(path) {
  if (path === location.pathname) return;
  history.pushState(null, "", path);
  moved();
}

let afterMove = () => {};

export function onMove(action) {
  afterMove = action;
}

function moved() {
  scrollTo(0, 0);
  changed();
  afterMove();
}

addEventListener("popstate", moved);

document.addEventListener("click", (event) => {
  const link = event.target instanceof Element && event.target.closest("a");
  const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey);
  if (!link || !isPlain || link.origin !== location.origin || link.hash || link.target) return;
  if (link.pathname.startsWith("/api/") || link.pathname === "/metrics") return;
  event.preventDefault();
  goTo(link.pathname);
});
