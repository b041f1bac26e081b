// @ts-check
// Runs before the first paint, so that nobody who chose dark is flashed at.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("wallaroo-theme");
  } catch {
    // Storage may be forbidden; the system's choice then holds.
  }
  const isDark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
})();
