// @ts-check
// The ring of a state: which partitions each worker owns, and how many.
//
// A few partitions are drawn one by one around the ring. Many are drawn beside it by number, because
// a thousand slices of a ring would be too thin to see.

import { count, share } from "../format.js";
import { base, tooltip } from "./common.js";

const ROUND_MAX = 128;

// data: { name, partitions: {count, owners, by_worker}, workers: [name] }
export function drawRing(data, { width, palette }) {
  const isMany = data.partitions.owners.length > ROUND_MAX;
  const room = isMany ? Math.min(width * 0.44, 250) : width;
  const middle = [isMany ? room / 2 : width / 2, 122];
  const radius = Math.min(116, room / 2 - 4);
  const side = Math.min(width - room - 24, 232);
  return {
    ...base(palette),
    tooltip: tooltip(palette, { formatter: ({ data: each }) => each.told }),
    title: {
      text: count(data.partitions.count),
      subtext: "partitions",
      left: middle[0],
      top: middle[1] - 26,
      textAlign: "center",
      itemGap: 5,
      textStyle: {
        color: palette.text, fontSize: 19, lineHeight: 22, fontWeight: 600, fontFamily: palette.sans,
      },
      subtextStyle: { color: palette.muted, fontSize: 11.5 },
    },
    ...(isMany ? squareAxes(data, room + 18, (244 - side) / 2, side, palette) : {}),
    series: [
      shares(data, middle, isMany ? [radius * 0.62, radius] : [radius * 0.56, radius * 0.74], palette),
      isMany ? square(data) : round(data, middle, [radius * 0.8, radius], palette),
    ],
  };
}

function shares({ partitions, workers }, center, radius, palette) {
  const total = Math.max(1, partitions.count);
  return {
    name: "share",
    type: "pie",
    center,
    radius,
    label: {
      show: true,
      position: "inside",
      color: palette.surface,
      fontSize: 11,
      fontWeight: 600,
      formatter: ({ data }) => data.short,
    },
    labelLine: { show: false },
    emphasis: { scale: false },
    data: workers.map((worker, index) => {
      const owned = partitions.by_worker[worker] ?? 0;
      return {
        value: owned,
        short: owned / total > 0.06 ? worker : "",
        told: `${worker}\n${count(owned)} partitions, ${share(owned / total)}`,
        itemStyle: { color: palette.worker(index), borderColor: palette.surface, borderWidth: 2 },
      };
    }),
  };
}

function round({ name, partitions, workers }, center, radius, palette) {
  return {
    name,
    type: "pie",
    center,
    radius,
    label: { show: false },
    emphasis: { scale: false },
    data: partitions.owners.map((owner, partition) => ({
      value: 1,
      told: toldOf(partition, workers[owner]),
      itemStyle: { color: palette.worker(owner), borderColor: palette.surface, borderWidth: 1 },
    })),
  };
}

function columnsOf(owners) {
  return Math.ceil(Math.sqrt(owners.length));
}

function squareAxes({ partitions, workers }, left, top, side, palette) {
  const columns = columnsOf(partitions.owners);
  const numbers = Array.from({ length: columns }, (_, index) => index);
  const axis = { type: "category", data: numbers, show: false };
  return {
    grid: { left, top, width: side, height: side },
    xAxis: axis,
    yAxis: { ...axis, inverse: true },
    visualMap: {
      show: false,
      type: "piecewise",
      dimension: 2,
      seriesIndex: 1,
      pieces: workers.map((_, index) => ({ value: index, color: palette.worker(index) })),
      outOfRange: { color: palette.line },
    },
  };
}

function square({ partitions, workers }) {
  const columns = columnsOf(partitions.owners);
  return {
    type: "heatmap",
    emphasis: { disabled: true },
    itemStyle: { borderWidth: 0.5, borderColor: "transparent" },
    data: partitions.owners.map((owner, partition) => ({
      value: [partition % columns, Math.floor(partition / columns), owner],
      told: toldOf(partition, workers[owner]),
    })),
  };
}

function toldOf(partition, worker) {
  return `partition ${partition}\n${worker ? `owned by ${worker}` : "without owner"
}`;
}
