// @ts-check
// All data of the page, in one place. Code that changes it calls `changed`; the page is then redrawn
// once, however many changes there were.

export const store = {
  snapshot: null,
  // kind: "opening", "live", "gone" or "locked" (reading needs the secret)
  connection: { kind: "opening", sinceMs: Date.now() },
  windowS: 300,
  histories: {},
  progress: null,
  // The last look-up on the page of a state: { state, key, isBusy, found, error }
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
