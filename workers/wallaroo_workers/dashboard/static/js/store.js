// @ts-check
// All that the page knows, in one place. Whoever changes it calls `changed`; the page then draws
// itself once for however many changes there were.

export const store = {
  snapshot: null,
  // kind: "opening", "live", "gone", "locked" (the secret is needed to read)
  connection: { kind: "opening", sinceMs: Date.now() },
  windowS: 300,
  histories: {},
  progress: null,
  // What was looked up on the page of a state: { state, key, isBusy, found, error }
  lookUp: null,
};

let draw = () => {};
let isDue = false;

export function onChange(drawer) {
  draw = drawer;
}

export function changed() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    draw();
  });
}
