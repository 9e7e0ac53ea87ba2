// The journey table: rows of a dialog together, dialogs of a step together; drawn a screenful of rows at a time.

import { both, cell, column, count, el, message, move, shown } from "./text.js";

const STEP = 500;
const OF_DIALOG = new Set(["inflow", "carried", "rooms", "customers", "dropouts", "dropout_rate"]);
const TEXT = new Set(["step", "dialog", "message", "next"]);

const table = document.getElementById("table");
const more = document.getElementById("more");
let limit = STEP;
let drawn = null;
let before = new Map();

more.addEventListener("click", () => {
  limit += STEP;
  draw(drawn);
});

/** Show `answer` (columns, rows, view); `fresh` says that it is another table, not the same with new figures. */
export function show(answer, fresh) {
  if (fresh) {
    limit = STEP;
    before = new Map();
  }
  drawn = answer;
  draw(answer);
}

function draw({ table: { columns, rows }, view, caption }) {
  const names = shown(view);
  const at = Object.fromEntries(columns.map((name, place) => [name, place]));
  const figures = new Map();
  const dialogs = grouped(rows, (row) => `${row[at.step]}|${row[at.dialog]}`);
  const { kept, left } = cut(dialogs);
  const bodies = grouped(kept, (dialog) => String(dialog[0][at.step])).map((ofStep) =>
    body(ofStep, names, at, figures));
  table.replaceChildren(el("caption", {}, ...both(caption)), head(names), ...bodies);
  before = figures;
  more.hidden = left === 0;
  more.replaceChildren(`더 보기: 남은 ${count(left)}행 `, el("span", { lang: "en" }, `Show more: ${count(left)} rows left`));
}

function grouped(items, key) {
  const groups = [];
  let last;
  for (const item of items) {
    const here = key(item);
    if (here !== last) groups.push([]);
    groups.at(-1).push(item);
    last = here;
  }
  return groups;
}

/** Whole dialogs up to `limit` rows, so that none is torn. */
function cut(dialogs) {
  let rows = 0;
  let whole = 0;
  while (whole < dialogs.length && (whole === 0 || rows + dialogs[whole].length <= limit)) rows += dialogs[whole++].length;
  return { kept: dialogs.slice(0, whole), left: dialogs.slice(whole).reduce((n, d) => n + d.length, 0) };
}

function head(names) {
  return el("thead", {}, el("tr", {}, ...names.map((name) =>
    el("th", { scope: "col", class: TEXT.has(name) ? name : "number" }, ...both(column(name))))));
}

function body(dialogs, names, at, figures) {
  const height = dialogs.reduce((n, rows) => n + rows.length, 0);
  const made = el("tbody");
  dialogs.forEach((rows, dialogPlace) => rows.forEach((row, place) => {
    const cells = names.map((name) => {
      if (name === "step") return place || dialogPlace ? null : el("th", { scope: "rowgroup", rowspan: height, class: "step" }, String(row[at.step]));
      if (name === "dialog") return place ? null : el("th", { scope: "rowgroup", rowspan: rows.length, class: "dialog" }, row[at.dialog]);
      if (OF_DIALOG.has(name)) return place ? null : number(name, row, at, figures, rows.length);
      return name === "message" || name === "next" ? words(name, row, at) : number(name, row, at, figures, 1);
    });
    made.append(el("tr", { class: place ? null : "first" }, ...cells));
  }));
  return made;
}

function words(name, row, at) {
  const way = row[at.move];
  if (name === "message") return el("td", { class: "message" }, ...both(message(way, row[at.message])));
  const to = row[at.next_dialog];
  if (way === "next_step") return el("td", { class: "next" }, to);
  const badge = el("span", { class: `move ${way}` }, ...both(move(way)));
  const elsewhere = to && !(way === "error" && to === row[at.dialog]);
  return el("td", { class: "next" }, badge, elsewhere ? ` → ${to}` : null);
}

/** A figure; it is marked for a moment when it is not what it was. */
function number(name, row, at, figures, rowspan) {
  const ofDialog = OF_DIALOG.has(name);
  const parts = ofDialog ? ["step", "dialog"] : ["step", "dialog", "move", "message", "next_step", "next_dialog"];
  const key = JSON.stringify([name, ...parts.map((part) => row[at[part]])]);
  const value = row[at[name]];
  figures.set(key, value);
  const changed = before.size > 0 && before.get(key) !== value;
  return el("td", { class: `number${changed ? " changed" : ""}`, rowspan: rowspan > 1 ? rowspan : null }, cell(name, value));
}
