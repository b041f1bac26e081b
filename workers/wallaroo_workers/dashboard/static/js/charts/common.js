// @ts-check
// What all charts share: fonts, axes, and tooltips that are drawn, never built from markup.

export function base(colours) {
  return {
    textStyle: { fontFamily: colours.sans, color: colours.muted, fontSize: 11.5 },
    color: [colours["series-in"], colours["series-out"], colours["series-failed"]],
  };
}

export function tooltip(colours, more = {}) {
  return {
    // Payloads and keys are untrusted; text that is drawn on a canvas is never parsed as markup.
    renderMode: "richText",
    confine: true,
    backgroundColor: colours.surface,
    borderColor: colours["line-strong"],
    borderWidth: 1,
    padding: [7, 10],
    textStyle: { color: colours.text, fontSize: 12, fontFamily: colours.sans },
    ...more,
  };
}

export function timeAxis(colours, fromMs, toMs) {
  return {
    type: "time",
    min: fromMs,
    max: toMs,
    axisLine: { lineStyle: { color: colours["chart-line"] } },
    axisTick: { show: false },
    splitLine: { show: false },
    axisLabel: { color: colours.muted, hideOverlap: true, formatter: "{HH}:{mm}" },
  };
}

export function valueAxis(colours, formatter, more = {}) {
  return {
    type: "value",
    min: 0,
    splitNumber: 4,
    axisLabel: { color: colours.muted, formatter },
    splitLine: { lineStyle: { color: colours["chart-line"] } },
    ...more,
  };
}

export function legend(colours, more = {}) {
  return {
    top: 0,
    left: 0,
    icon: "roundRect",
    itemWidth: 12,
    itemHeight: 3,
    itemGap: 14,
    textStyle: { color: colours.muted, fontSize: 12 },
    ...more,
  };
}

export const GRID = { left: 4, right: 22, top: 30, bottom: 2, containLabel: true };

const measuring = document.createElement("canvas").getContext("2d");

// The width of a text in the font of labels, in pixels.
export function textWidth(text, colours, size = LABEL_SIZE) {
  measuring.font = `${size}px ${colours.sans}`;
  return measuring.measureText(text).width;
}

export const LABEL_SIZE = 12;

// Shortens a text to a width. The middle is left out, because keys often differ at their ends.
export function fitText(text, colours, width) {
  const letters = [...String(text).replace(/[\n\r\t]/g, " ")];
  if (textWidth(letters.join(""), colours) <= width) return letters.join("");
  let [kept, tooMany] = [1, letters.length];
  while (tooMany - kept > 1) {
    const middle = (kept + tooMany) >> 1;
    if (textWidth(withoutMiddle(letters, middle), colours) <= width) kept = middle;
    else tooMany = middle;
  }
  return withoutMiddle(letters, kept);
}

function withoutMiddle(letters, kept) {
  const first = Math.ceil(kept / 2);
  return `${letters.slice(0, first).join("")}…${letters.slice(letters.length - (kept - first)).join("")}`;
}

// Names come from applications; rich-text labels would read these characters as styles.
export const plain = (text) => String(text).replace(/[{}|\n]/g, " ");
