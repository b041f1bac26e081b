// @ts-check
// Formats numbers, times and sizes for people. A missing value is shown as a dash.

export const NOTHING = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

const is = (value) => value !== null && value !== undefined && Number.isFinite(value);

export function count(value) {
  if (!is(value)) return NOTHING;
  return Math.abs(value) < 100000 ? whole.format(value) : compact.format(value);
}

export function rate(value) {
  if (!is(value)) return NOTHING;
  if (value > 0 && value < 10) return value.toFixed(1);
  return Math.abs(value) < 10000 ? whole.format(value) : compact.format(value);
}

export function share(value) {
  if (!is(value)) return NOTHING;
  const percent = value * 100;
  return `${percent > 0 && percent < 10 ? percent.toFixed(1) : percent.toFixed(0)} %`;
}

// Formats seconds with at most three significant digits: 840 µs, 1.25 ms, 3.4 s, 2 h 5 min.
export function duration(seconds) {
  if (!is(seconds)) return NOTHING;
  if (seconds === 0) return "0 s";
  if (seconds < 1e-3) return `${figures(seconds * 1e6)} µs`;
  if (seconds < 1) return `${figures(seconds * 1e3)} ms`;
  if (seconds < 60) return `${figures(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function figures(value) {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function bytes(value) {
  if (!is(value)) return NOTHING;
  let size = value;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (size < 1024) return `${unit === "B" || size >= 100 ? size.toFixed(0) : size.toFixed(1)} ${unit}`;
    size /= 1024;
  }
  return `${size.toFixed(1)} TiB`;
}

const clockFormat = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const fullFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

export function clock(unixS) {
  return is(unixS) ? clockFormat.format(unixS * 1000) : NOTHING;
}

// Formats a recent time without its date, and an older one with it.
export function recent(unixS, nowS) {
  return nowS - unixS < 43200 ? clock(unixS) : moment(unixS);
}

export function moment(unixS) {
  return is(unixS) ? fullFormat.format(unixS * 1000) : NOTHING;
}

// Formats an event time in nanoseconds, in UTC, to the millisecond.
export function instant(timeNs) {
  if (!is(timeNs)) return NOTHING;
  return new Date(timeNs / 1e6).toISOString().replace("T", " ").replace("Z", " UTC");
}

// Formats a base64 payload: as text if it is text, else as hexadecimal bytes.
export function payload(base64) {
  let bytes;
  try {
    bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  } catch {
    return String(base64);
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (!/[\u0000-\u0008\u000e-\u001f]/.test(text)) return text;
  } catch {
    // Not UTF-8: show the bytes.
  }
  return `0x ${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")}`;
}

export function many(number, noun, plural = `${noun}s`) {
  return `${count(number)} ${number === 1 ? noun : plural}`;
}
