// Lines over time: throughput, latency, and how busy one place was.

import { clock, duration, rate } from "../format.js";
import { GRID, base, legend, timeAxis, tooltip, valueAxis } from "./common.js";

// data: { t: [unix seconds], lines: [{ name, colour, values, isFilled }], windowS }
function lines(data, colours, format, axisMore) {
  const last = data.t.at(-1) ?? Date.now() / 1000;
  return {
    ...base(colours),
    grid: GRID,
    legend: legend(colours, { selectedMode: data.lines.length > 1 }),
    tooltip: tooltip(colours, {
      trigger: "axis",
      formatter: (points) => [
        clock(points[0].value[0] / 1000),
        ...points.map((point) => `${point.seriesName}  ${format(point.value[1])}`),
      ].join("\n"),
      axisPointer: { lineStyle: { color: colours["line-strong"] } },
    }),
    xAxis: timeAxis(colours, (last - data.windowS) * 1000, last * 1000),
    yAxis: valueAxis(colours, format, axisMore),
    series: data.lines.map((line) => ({
      name: line.name,
      type: "line",
      symbol: "circle",
      symbolSize: (_, { dataIndex }) => (isAlone(line.values, dataIndex) ? 4 : 0),
      sampling: "lttb",
      itemStyle: { color: colours[line.colour] },
      lineStyle: { width: 1.6, color: colours[line.colour] },
      areaStyle: line.isFilled ? { color: colours[line.colour], opacity: 0.1 } : undefined,
      data: data.t.map((second, index) => [second * 1000, line.values[index] ?? null]),
    })),
  };
}

// A point between two without a value has no line to be seen by.
function isAlone(values, index) {
  const isThere = (at) => values[at] !== null && values[at] !== undefined;
  return isThere(index) && !isThere(index - 1) && !isThere(index + 1);
}

export function drawRates(data, { palette }) {
  return lines(data, palette, rate, { minInterval: 1 });
}

export function drawDurations(data, { palette }) {
  return lines(data, palette, duration);
}
