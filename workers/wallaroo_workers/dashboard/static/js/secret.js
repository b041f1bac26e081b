// @ts-check
// The cluster's secret, kept for this tab until it is closed. Never in an address or a cookie.

const NAME = "wallaroo-secret";
let kept = null;

export function secret() {
  if (kept !== null) return kept;
  try {
    kept = sessionStorage.getItem(NAME);
  } catch {
    // Storage may be forbidden; it is then kept until the page is loaded again.
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
