// @ts-check
// Lines over time: throughput and latency.

import { clock, duration, rate } from "../format.js";
import { GRID, base, legend, timeAxis, tooltip, valueAxis } from "./common.js";

// data: { t: [unix seconds], stepS, lines: [{ name, colour, values, isFilled }], windowS,
//   events: as a snapshot has them }
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
        ...toldAt(data, points[0].value[0] / 1000),
      ].join("\n"),
      axisPointer: { lineStyle: { color: colours["line-strong"] } },
    }),
    xAxis: timeAxis(colours, (last - data.windowS) * 1000, last * 1000),
    yAxis: valueAxis(colours, format, axisMore),
    series: data.lines.map((line, index) => ({
      name: line.name,
      type: "line",
      symbol: "circle",
      symbolSize: (_, { dataIndex }) => (isAlone(line.values, dataIndex) ? 4 : 0),
      sampling: "lttb",
      itemStyle: { color: colours[line.colour] },
      lineStyle: { width: 1.6, color: colours[line.colour] },
      areaStyle: line.isFilled ? { color: colours[line.colour], opacity: 0.1 } : undefined,
      data: data.t.map((second, at) => [second * 1000, line.values[at] ?? null]),
      markLine: index === 0 ? marks(data, colours, last) : undefined,
    })),
  };
}

const MARK_COLOURS = { info: "accent", warning: "degraded-mark", error: "unhealthy" };

// Events as vertical lines.
function marks({ events, windowS }, colours, last) {
  return {
    silent: true,
    symbol: ["none", "triangle"],
    symbolSize: 6,
    symbolRotate: 180,
    label: { show: false },
    data: events.filter((event) => event.unix_s > last - windowS && event.unix_s <= last + 1)
      .map((event) => {
        const color = colours[MARK_COLOURS[event.level] ?? "accent"];
        return {
          xAxis: event.unix_s * 1000, lineStyle: { color, width: 1.2, type: [4, 3] },
          itemStyle: { color },
        };
      }),
  };
}

// The events near a point of the axis, shortened so that a tooltip stays small.
function toldAt({ events, windowS }, second) {
  const reach = Math.max(1, windowS / 150);
  return events.filter((event) => Math.abs(event.unix_s - second) <= reach)
    .map((event) => `${clock(event.unix_s)}  ${event.text.slice(0, 90)}`);
}

// A point between two missing values has no line, so it gets a symbol.
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
