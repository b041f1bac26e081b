// @ts-check
// Keeps the page live with server-sent events. They are read with fetch, because an EventSource
// cannot send the secret. A closed stream is noticed immediately, a silent one within seconds.

import { openLive } from "./api.js";
import { changed, store } from "./store.js";

const SILENT_MS = 5000;
const TRY_AGAIN_MS = 1500;

let stopping = null;

export async function follow() {
  for (;;) {
    if (!document.hidden) await listen();
    if (store.connection.kind === "locked") return;
    await pause(TRY_AGAIN_MS);
  }
}

// Starts again after the reader has entered the secret.
export function followAgain() {
  setConnection("opening");
  follow();
}

document.addEventListener("visibilitychange", () => {
  // A hidden page closes its stream, so that it costs the cluster nothing.
  if (document.hidden) stopping?.abort();
});

async function listen() {
  stopping = new AbortController();
  let watch = null;
  const heard = () => {
    clearTimeout(watch);
    watch = setTimeout(() => stopping.abort(), SILENT_MS);
  };
  try {
    heard();
    const response = await openLive(stopping.signal);
    for await (const event of events(response.body, heard)) take(event);
  } catch (error) {
    if (error.status === 401) {
      setConnection("locked");
      return;
    }
  } finally {
    clearTimeout(watch);
  }
  if (!document.hidden) setConnection("gone");
}

function take({ name, data }) {
  if (name === "snapshot") {
    store.snapshot = JSON.parse(data);
    setConnection("live");
  } else if (name === "progress") {
    store.progress = JSON.parse(data);
  }
  changed();
}

function setConnection(kind) {
  if (store.connection.kind === kind) return;
  // Keep the time of the first failure while reconnecting fails.
  store.connection = { kind, sinceMs: Date.now() };
  changed();
}

async function* events(stream, heard) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) yield parse(block);
  }
}

function parse(block) {
  const event = { name: "", data: "" };
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) event.name = line.slice(7);
    if (line.startsWith("data: ")) event.data += line.slice(6);
  }
  return event;
}

function pause(ms) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
    document.addEventListener("visibilitychange", resolve, { once: true });
  });
}
