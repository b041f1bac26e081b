// The keys that most records have.

import { count, share } from "../format.js";
import { base, tooltip } from "./common.js";

// data: { hottest: [{ key, share, count, worker }], workers: [name] }
export function drawHotKeys({ hottest, workers }, { palette }) {
  return {
    ...base(palette),
    height: 14 + 24 * hottest.length,
    grid: { left: 2, right: 52, top: 2, bottom: 2, containLabel: true },
    tooltip: tooltip(palette, { formatter: ({ data }) => data.told }),
    xAxis: { type: "value", show: false, min: 0 },
    yAxis: {
      type: "category",
      inverse: true,
      data: hottest.map((each) => each.key),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { color: palette.text, fontSize: 12, width: 150, overflow: "truncate" },
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
