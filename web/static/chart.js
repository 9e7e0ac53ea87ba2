// The Sankey, by ECharts. A scenario may have thousands of links: the greatest are drawn, the table has them all.

import { count, el, move, rate } from "./text.js";

const MOST = 80;
const IN_COLUMN = 16;
const COLUMN = 190;
const NODE = 34;
const ENDS = { error: "#c77700", dropout: "#c8352b", agent_connect: "#2f6fb7", agent_served: "#14847c", bot_end: "#6b7280" };
const STEPS = ["#1f5fa8", "#3b7dc4", "#5b6abf", "#7a5ab5", "#4a8f6d", "#8a7a2f", "#a05a7d", "#517b8f"];

const place = document.getElementById("chart");
const note = document.getElementById("chart-note");
let chart = null;

/** Draw `answer`'s links; without ECharts, or without links, say so instead. */
export function show(answer) {
  const links = [...answer.links].sort((a, b) => b.value - a.value);
  const kept = greatest(links);
  place.hidden = kept.length === 0 || !window.echarts;
  note.replaceChildren(...remark(links, kept));
  if (place.hidden) return;
  const nodes = nodesOf(kept, answer);
  size(nodes);
  chart ??= window.echarts.init(place, null, { renderer: "canvas" });
  chart.resize();
  chart.setOption(option(nodes, kept), { notMerge: true });
}

/** The greatest links, and of each step only so many dialogs as can be read. */
function greatest(links) {
  const columns = new Map();
  const fits = (name) => {
    const column = columns.get(stepOf(name)) ?? new Set();
    columns.set(stepOf(name), column);
    return column.has(name) || column.size < IN_COLUMN ? column : null;
  };
  const kept = [];
  for (const link of links) {
    const ends = [fits(link.source), fits(link.target)];
    if (kept.length === MOST || !ends.every(Boolean)) continue;
    ends[0].add(link.source);
    ends[1].add(link.target);
    kept.push(link);
  }
  return kept;
}

const stepOf = (name) => (name.includes("|") ? Number(name.slice(0, name.indexOf("|"))) : 0);

function remark(links, kept) {
  if (!window.echarts) {
    return ["그림 라이브러리가 없어 표만 보여 드립니다. ", el("span", { lang: "en" }, "The chart library is missing; the table has it all. `turnpath up` fetches it.")];
  }
  if (links.length === kept.length) return [];
  const left = links.length - kept.length;
  return [`가장 큰 흐름 ${count(kept.length)}개만 그렸습니다. 나머지 ${count(left)}개는 표에 있습니다. `,
    el("span", { lang: "en" }, `The ${count(kept.length)} greatest links are drawn; ${count(left)} more are in the table.`)];
}

function nodesOf(links, { table: { columns, rows } }) {
  const at = Object.fromEntries(columns.map((name, i) => [name, i]));
  const figures = new Map(rows.map((row) => [`${row[at.step]}|${row[at.dialog]}`, row]));
  const names = new Set(links.flatMap((link) => [link.source, link.target]));
  return [...names].map((name) => node(name, figures.get(name), at));
}

function node(name, row, at) {
  const step = stepOf(name);
  if (!step) return { name, shown: move(name).ko, itemStyle: { color: ENDS[name] ?? "#6b7280" } };
  const said = row && [
    `유입 ${count(row[at.inflow])} · 방 ${count(row[at.rooms])} · 고객 ${count(row[at.customers])}`,
    `이탈 ${count(row[at.dropouts])} (${rate(row[at.dropout_rate])})`,
  ];
  return { name, shown: name.slice(name.indexOf("|") + 1), step, said, depth: step - 1, itemStyle: { color: STEPS[(step - 1) % STEPS.length] } };
}

/** Room for the columns and for the fullest of them: on a small screen the chart scrolls sideways. */
function size(nodes) {
  const inColumn = new Map();
  let ends = 0;
  for (const { step } of nodes) step ? inColumn.set(step, (inColumn.get(step) ?? 0) + 1) : ends++;
  const columns = Math.max(0, ...inColumn.keys()) + 2;
  place.style.minWidth = `${columns * COLUMN}px`;
  place.style.height = `${Math.min(900, Math.max(300, Math.max(ends, ...inColumn.values()) * NODE + 60))}px`;
}

function option(nodes, links) {
  return {
    animation: false,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    tooltip: { trigger: "item", confine: true, renderMode: "richText", formatter: tip },
    series: [{
      type: "sankey", data: nodes, links: links.map(coloured), left: 8, right: 150, top: 16, bottom: 16,
      nodeWidth: 14, nodeGap: 12, draggable: false, emphasis: { focus: "adjacency" },
      label: { formatter: ({ data }) => short(data.shown), color: "#1b2430", fontSize: 12 },
      labelLayout: { hideOverlap: true },
      lineStyle: { opacity: 0.28, curveness: 0.5 },
    }],
  };
}

const coloured = (link) => ({ ...link, lineStyle: { color: link.target in ENDS ? "target" : "source" } });
const short = (text) => (text.length > 18 ? `${text.slice(0, 17)}…` : text);
const named = (name) => (name.includes("|") ? `${name.replace("|", "단계 ")}` : move(name).ko);

function tip({ dataType, data, value }) {
  if (dataType === "edge") return `${named(data.source)} → ${named(data.target)}\n${count(data.value)}`;
  return [data.step ? `${data.step}단계 ${data.shown}` : data.shown, ...(data.said ?? [count(value)])].join("\n");
}

new ResizeObserver(() => chart?.resize()).observe(place);
