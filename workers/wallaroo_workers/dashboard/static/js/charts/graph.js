// @ts-check
// The application as a graph: dagre computes the layout, ECharts draws it.

import dagre from "../../vendor/dagre/dagre.esm.js";
import { rate } from "../format.js";
import { pathOf } from "../router.js";
import { base, plain, tooltip } from "./common.js";

const WIDTH = 172;
const HEIGHT = 62;
const MARGIN = 6;
const RANK_GAP = { across: 64, acrossMax: 150, down: 44 };
const BOX = roundedBox(WIDTH, HEIGHT, 9);

// data: { nodes, edges } of a snapshot
export function drawGraph(data, { width, palette }) {
  const places = fitted(data, width - 2 * MARGIN);
  const scale = Math.min(1, (width - 2 * MARGIN) / places.width);
  const left = (width / scale - places.width) / 2;
  return {
    ...base(palette),
    height: Math.ceil(places.height * scale + 2 * MARGIN),
    grid: { left: 0, right: 0, top: MARGIN, bottom: MARGIN },
    // One unit of the axes is one of dagre's.
    xAxis: { show: false, type: "value", min: -left, max: width / scale - left },
    yAxis: { show: false, type: "value", inverse: true, min: 0, max: places.height },
    tooltip: tooltip(palette, { formatter: ({ data: each }) => each.told }),
    series: [
      {
        type: "lines",
        coordinateSystem: "cartesian2d",
        symbol: ["none", "arrow"],
        symbolSize: 8,
        data: data.edges.map((edge) => drawnEdge(edge, places.edge(edge), data.nodes, palette)),
      },
      {
        type: "scatter",
        symbol: BOX,
        symbolSize: [WIDTH * scale, HEIGHT * scale],
        emphasis: { scale: false },
        data: data.nodes.map((node) => drawnNode(node, places.node(node), palette, scale)),
      },
    ],
  };
}

// From left to right if there is room, with gaps that fill it; else from top to bottom.
function fitted(data, room) {
  const close = laidOut(data, "LR", RANK_GAP.across);
  if (close.width > room * 1.15) return laidOut(data, "TB", RANK_GAP.down);
  const ranks = new Set(data.nodes.map((node) => close.node(node).x)).size;
  const more = ranks > 1 ? (room - close.width) / (ranks - 1) : 0;
  const gap = Math.min(RANK_GAP.acrossMax, RANK_GAP.across + Math.floor(more));
  return gap > RANK_GAP.across ? laidOut(data, "LR", gap) : close;
}

function laidOut({ nodes, edges }, direction, gap) {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: direction, nodesep: 20, ranksep: gap });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) graph.setNode(node.id, { width: WIDTH, height: HEIGHT });
  for (const edge of edges) graph.setEdge(edge.from, edge.to);
  dagre.layout(graph);
  return {
    width: graph.graph().width,
    height: graph.graph().height,
    node: ({ id }) => graph.node(id),
    edge: ({ from, to }) => graph.edge(from, to).points,
  };
}

function drawnNode(node, place, colours, scale) {
  const { text, styles } = labelOf(node, colours, scale);
  return {
    value: [place.x, place.y],
    path: node.kind === "step" ? pathOf("step", node.name) : pathOf("pipeline", node.pipeline),
    told: toldOf(node),
    itemStyle: {
      color: node.under_pressure ? colours["degraded-ground"] : colours.surface,
      borderColor: borderOf(node, colours),
      borderWidth: node.under_pressure ? 2.2 : 1.3,
      opacity: 1,
    },
    label: { show: true, position: "inside", formatter: text, rich: styles },
  };
}

function labelOf(node, colours, scale) {
  const marks = [
    node.under_pressure ? "{pressure|  ▲ pressure}" : "",
    node.failed > 0 ? `{failed|  ✕ ${rate(node.failed)}}` : "",
  ];
  const size = (points) => Math.max(9, points * scale);
  return {
    text: [
      `{name|${short(plain(nameOf(node)), 22)}}`,
      `{kind|${short(plain(kindOf(node)), 27)}}`,
      `{rate|${rate(node.rate)}/s}${marks.join("")}`,
    ].join("\n"),
    styles: {
      name: { color: colours.text, fontSize: size(12.5), fontWeight: 600, lineHeight: 18 * scale },
      kind: { color: colours.muted, fontSize: size(10.5), lineHeight: 14 * scale },
      rate: { color: colours.text, fontSize: size(11), lineHeight: 17 * scale },
      pressure: { color: colours.degraded, fontSize: size(10.5), fontWeight: 600 },
      failed: { color: colours.unhealthy, fontSize: size(10.5), fontWeight: 600 },
    },
  };
}

// The name of a sink has its kind and address; its position already shows the kind.
function nameOf(node) {
  return node.kind === "sink" ? node.name.replace(/^\w+ sink to /, "") : node.name;
}

function borderOf(node, colours) {
  if (node.under_pressure) return colours["degraded-mark"];
  if (node.kind === "source") return colours["series-in"];
  return node.kind === "sink" ? colours["series-out"] : colours["line-strong"];
}

function drawnEdge(edge, points, nodes, colours) {
  const target = nodes.find((node) => node.id === edge.to);
  const colour = target?.under_pressure ? colours["degraded-mark"] : colours["line-strong"];
  const kind = edge.exchange ? "records change worker here" : "within the worker";
  return {
    coords: [points[0], points.at(-1)].map(({ x, y }) => [x, y]),
    told: edge.rate === null ? kind : `${rate(edge.rate)} records/s\n${kind}`,
    lineStyle: {
      color: colour,
      width: 1 + Math.min(2, Math.log10(1 + (edge.rate ?? 0)) / 3),
      type: edge.exchange ? [5, 4] : "solid",
      opacity: edge.rate === 0 ? 0.5 : 1,
    },
    label: {
      show: edge.rate !== null,
      position: "middle",
      rotate: 0,
      formatter: `${rate(edge.rate)}/s`,
      fontSize: 11,
      color: colours.muted,
      backgroundColor: colours.surface,
      padding: [2, 4],
    },
  };
}

function toldOf(node) {
  const share = Number.isFinite(node.user_share)
    ? `\n${(node.user_share * 100).toFixed(0)} % of the time in its function` : "";
  const pressure = node.under_pressure ? "\nback-pressure: what comes before it waits" : "";
  return `${node.name}\n${kindOf(node)}\nin ${rate(node.in)}, out ${rate(node.out)}, ` +
    `filtered ${rate(node.filtered)}, failed ${rate(node.failed)}${share}${pressure}`;
}

export function kindOf(node) {
  if (node.kind !== "step") return `${node.kind} of ${node.pipeline}`;
  return node.state ? `${node.step_kind} · ${node.state}` : node.step_kind;
}

function short(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function roundedBox(width, height, radius) {
  const [right, bottom] = [width - radius, height - radius];
  const corner = (x, y) => `A${radius} ${radius} 0 0 1 ${x} ${y}`;
  return `path://M${radius} 0H${right}${corner(width, radius)}V${bottom}${corner(right, height)}` +
    `H${radius}${corner(0, bottom)}V${radius}${corner(radius, 0)}Z`;
}
