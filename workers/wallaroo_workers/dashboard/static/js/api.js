// @ts-check
// The page's requests to the server. A failed request throws Refused, with a message to show.

import { authorization } from "./secret.js";

export class Refused extends Error {
  constructor(status, what, hint) {
    super(hint ? `${what}: ${hint}` : what);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
  } catch {
    throw new Refused(0, "the cluster does not answer", "check whether it is still running");
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  throw new Refused(response.status, said.error ?? response.statusText, said.hint ?? "");
}

async function getJson(path) {
  return (await ask(path, { headers: authorization() })).json();
}

export const getHistory = (windowS) => getJson(`/api/history?window=${windowS}`);

export const getKey = (state, key, kind) =>
  getJson(`/api/states/${encodeURIComponent(state)}/key` +
    `?key=${encodeURIComponent(key)}&type=${encodeURIComponent(kind)}`);

export const openLive = (signal) => ask("/api/live", { headers: authorization(), signal });

export const checkSecret = (value) =>
  ask("/api/secret", { method: "POST", headers: authorization(value) });

export async function act(action, params) {
  const response = await ask(`/api/actions/${action}`, {
    method: "POST",
    headers: { ...authorization(), "Content-Type": "application/json" },
    body: JSON.stringify(params),
  });
  return response.json();
}
