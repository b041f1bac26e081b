// @ts-check
// The series of the chosen time window, fetched again regularly, even if no record arrives.

import { getHistory } from "./api.js";
import { changed, store } from "./store.js";

export const WINDOWS = [
  { seconds: 300, label: "5 min", long: "5 minutes", everyMs: 1000 },
  { seconds: 3600, label: "1 h", long: "hour", everyMs: 10000 },
  { seconds: 86400, label: "24 h", long: "24 hours", everyMs: 60000 },
];

const askedMs = {};

export function currentWindow() {
  return WINDOWS.find((each) => each.seconds === store.windowS);
}

export function chooseWindow(seconds) {
  store.windowS = seconds;
  changed();
  refreshHistory();
}

// Called with every snapshot.
export async function refreshHistory() {
  const { seconds, everyMs } = currentWindow();
  const nowMs = performance.now();
  if (nowMs - (askedMs[seconds] ?? -Infinity) < everyMs * 0.9) return;
  askedMs[seconds] = nowMs;
  try {
    store.histories[seconds] = await getHistory(seconds);
    changed();
  } catch {
    // live.js reports a lost server.
  }
}
