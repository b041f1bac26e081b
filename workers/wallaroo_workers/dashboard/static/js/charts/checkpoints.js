// @ts-check
// Checkpoints on a time line: how long each took, and how long records waited for it.

import { bytes, clock, count, duration } from "../format.js";
import { GRID, base, legend, timeAxis, tooltip, valueAxis } from "./common.js";

// data: [{ number, unix_s, duration_s, pause_s, bytes, keys }], newest last
export function drawCheckpoints(data, { palette }) {
  const first = data[0].unix_s;
  const last = data.at(-1).unix_s;
  const edge = Math.max((last - first) * 0.01, 0.5);
  const points = (field) =>
    data.map((each) => ({ value: [each.unix_s * 1000, each[field]], told: toldOf(each) }));
  return {
    ...base(palette),
    grid: GRID,
    legend: legend(palette, { itemHeight: 8, itemWidth: 8 }),
    tooltip: tooltip(palette, { formatter: ({ data: each }) => each.told }),
    xAxis: {
      ...timeAxis(palette, (first - edge) * 1000, (last + edge) * 1000),
      axisLabel: { color: palette.muted, hideOverlap: true, formatter: "{HH}:{mm}:{ss}" },
    },
    yAxis: [
      valueAxis(palette, duration, { splitNumber: 3 }),
      valueAxis(palette, duration, { splitNumber: 3, splitLine: { show: false } }),
    ],
    series: [
      {
        name: "pause of records",
        type: "bar",
        barMaxWidth: 7,
        barMinWidth: 2,
        itemStyle: { color: palette["series-high"], borderRadius: [2, 2, 0, 0] },
        data: points("pause_s"),
      },
      {
        name: "durable after (right scale)",
        type: "line",
        yAxisIndex: 1,
        symbolSize: 3,
        itemStyle: { color: palette["series-in"] },
        lineStyle: { width: 1.2, opacity: 0.7 },
        data: points("duration_s"),
      },
    ],
  };
}

function toldOf(each) {
  return `checkpoint ${each.number}, ${clock(each.unix_s)}\npause ${duration(each.pause_s)}\n` +
    `durable after ${duration(each.duration_s)}\n${count(each.keys)} keys, ${bytes(each.bytes)}`;
}
