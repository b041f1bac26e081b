// @ts-check
// The keys with the most records.

import { count, share } from "../format.js";
import { LABEL_SIZE, base, fitText, textWidth, tooltip } from "./common.js";

const LABEL_WIDTH_MAX = 190;
const LABEL_GAP = 8;

// data: { hottest: [{ key, share, count, worker }], workers: [name] }
export function drawHotKeys({ hottest, workers }, { palette, width }) {
  const widest = Math.min(LABEL_WIDTH_MAX, width * 0.42);
  const labels = hottest.map((each) => fitText(each.key, palette, widest));
  // Measure the room for labels: the chart's own default may be too small.
  const left = Math.ceil(Math.max(0, ...labels.map((each) => textWidth(each, palette)))) + LABEL_GAP + 2;
  return {
    ...base(palette),
    height: 14 + 24 * hottest.length,
    grid: { left, right: 52, top: 2, bottom: 2 },
    tooltip: tooltip(palette, { formatter: ({ data }) => data.told }),
    xAxis: { type: "value", show: false, min: 0 },
    yAxis: {
      type: "category",
      inverse: true,
      data: labels.map((_, index) => index),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: {
        color: palette.text, fontSize: LABEL_SIZE, fontFamily: palette.sans, margin: LABEL_GAP,
        interval: 0, formatter: (_, index) => labels[index],
      },
    },
    series: [{
      type: "bar",
      barWidth: 12,
      label: {
        show: true,
        position: "right",
        color: palette.muted,
        formatter: ({ data }) => share(data.value),
      },
      data: hottest.map((each) => ({
        value: each.share,
        told: `${each.key}\n${share(each.share)} of records, ${count(each.count)} seen\non ${each.worker}`,
        itemStyle: {
          color: palette.worker(workers.indexOf(each.worker)), borderRadius: [0, 3, 3, 0],
        },
      })),
    }],
  };
}
