// @ts-check
// The colours of charts, read from the style sheet, which defines both themes.

export const WORKER_COLOURS = 12;

export function palette() {
  const styles = getComputedStyle(document.documentElement);
  const colour = (name) => styles.getPropertyValue(`--${name}`).trim();
  const names = ["surface", "sunken", "line", "line-strong", "text", "muted", "accent"];
  const marks = ["degraded", "degraded-mark", "degraded-ground", "unhealthy", "unhealthy-ground", "healthy"];
  const series = ["series-in", "series-out", "series-failed", "series-mid", "series-high"];
  const found = Object.fromEntries([...names, ...marks, ...series, "chart-line", "accent-ground"]
    .map((name) => [name, colour(name)]));
  const workers = Array.from({ length: WORKER_COLOURS }, (_, index) => colour(`w${index}`));
  return {
    ...found,
    worker: (index) => (index < 0 ? found.line : workers[index % WORKER_COLOURS]),
    sans: styles.getPropertyValue("--sans").trim(),
  };
}
