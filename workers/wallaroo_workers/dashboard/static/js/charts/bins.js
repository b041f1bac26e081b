// @ts-check
// A histogram: bars for values of growing size, each twice as large as the one before it.

import { count, duration, share } from "../format.js";
import { GRID, base, tooltip, valueAxis } from "./common.js";

// data: { bins: [[seconds below, count]], total }
export function drawBins({ bins, total }, { palette }) {
  return {
    ...base(palette),
    grid: { ...GRID, top: 10 },
    tooltip: tooltip(palette, { formatter: ({ data }) => data.told }),
    xAxis: {
      type: "category",
      data: bins.map(([below]) => `< ${duration(below)}`),
      axisLine: { lineStyle: { color: palette["chart-line"] } },
      axisTick: { show: false },
      axisLabel: { color: palette.muted, hideOverlap: true },
    },
    yAxis: valueAxis(palette, share, { splitNumber: 3 }),
    series: [{
      type: "bar",
      barCategoryGap: "14%",
      barMaxWidth: 48,
      itemStyle: { color: palette["series-in"], borderRadius: [3, 3, 0, 0] },
      data: bins.map(([below, number]) => ({
        value: number / total,
        told: `${duration(below / 2)} to ${duration(below)}\n${share(number / total)}, ${count(number)}`,
      })),
    }],
  };
}
