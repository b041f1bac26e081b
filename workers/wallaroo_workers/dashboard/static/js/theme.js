// @ts-check
// Dark or light: as the system says, until the reader chooses.

const dark = matchMedia("(prefers-color-scheme: dark)");

export function isDark() {
  return document.documentElement.dataset.theme === "dark";
}

export function switchTheme() {
  const theme = isDark() ? "light" : "dark";
  try {
    localStorage.setItem("wallaroo-theme", theme);
  } catch {
    // Storage may be disabled; the choice is then kept until the page is reloaded.
  }
  show(theme);
}

function show(theme) {
  document.documentElement.dataset.theme = theme;
  document.dispatchEvent(new Event("theme-changed"));
}

dark.addEventListener("change", () => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("wallaroo-theme");
  } catch {
    // As above.
  }
  if (!chosen) show(dark.matches ? "dark" : "light");
});
