// @ts-check
// The cluster's secret. It is kept until the tab is closed, and never put into an address or cookie.

const NAME = "wallaroo-secret";
let kept = null;

export function secret() {
  if (kept !== null) return kept;
  try {
    kept = sessionStorage.getItem(NAME);
  } catch {
    // Storage may be disabled; the secret is then kept until the page is reloaded.
  }
  return kept;
}

export function keepSecret(value) {
  kept = value;
  try {
    if (value === null) sessionStorage.removeItem(NAME);
    else sessionStorage.setItem(NAME, value);
  } catch {
    // As above.
  }
}

export function authorization(value = secret()) {
  return value ? { Authorization: `Bearer ${value}` } : {};
}
