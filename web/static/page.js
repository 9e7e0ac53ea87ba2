// What the page shows: a bot, today (live) or a range of sealed days. The address says the same, so it can be kept.

import * as chart from "./chart.js";
import { save } from "./export.js";
import { listen } from "./live.js";
import * as table from "./table.js";
import { both, clock, column, count, el, learn, move, sentence } from "./text.js";

const WAYS = ["next_step", "error", "agent_connect", "agent_served", "bot_end", "dropout"];
const NO_BOT_YET_MS = 2000;

const $ = (id) => document.getElementById(id);
const choice = { site: "", bot: "", view: "today", from: "", to: "" };
let zone = "UTC";
let days = null;
let turn = 0;
let busy = null;
let again = false;
let mute = () => {};
let shownFor = "";

// ---- asking

class Refused extends Error {}

async function ask(path, params = {}) {
  const query = new URLSearchParams(params).toString();
  let response;
  try {
    response = await fetch(`/api/${path}${query && `?${query}`}`, { headers: { Accept: "application/json" } });
  } catch {
    throw Object.assign(new Refused("the page's server does not answer"), { kind: "lost", todo: "see that `turnpath web` runs; this page tries again by itself" });
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw Object.assign(new Refused(body.error ?? `HTTP ${response.status}`), { kind: body.kind, todo: body.what_to_do, missing: body.days });
}

// ---- telling

const KOREAN = {
  no_data: "보여 줄 자료가 없습니다.",
  not_sealed: "아직 마감되지 않은 기간입니다.",
  usage: "이 기간은 볼 수 없습니다.",
  unreachable: "데이터베이스에 연결할 수 없습니다.",
  busy: "지금은 접속이 많습니다.",
  output: "파일을 만들 공간이 없습니다.",
  lost: "서버에 연결할 수 없습니다.",
};

function notice(kind, ko, en, details) {
  const made = el("div", { class: `notice ${kind}` }, el("p", {}, ...both({ ko, en })), details && el("p", { class: "details" }, details));
  $("notice").replaceChildren(made);
}

const warn = (said) =>
  $("notice").replaceChildren(el("div", { class: "notice warning" }, ...said.map((words) => el("p", {}, ...both(words)))));

const quiet = () => $("notice").replaceChildren();

function refuse(error) {
  const ko = KOREAN[error.kind] ?? "문제가 생겼습니다.";
  const list = error.missing?.length ? ` ${error.missing.join(", ")}` : "";
  notice(error.kind === "no_data" || error.kind === "not_sealed" ? "empty" : "error", ko + list, error.message, error.todo);
}

function stale(words) {
  $("facts").classList.add("stale");
  notice("warning", "연결 끊김: 마지막으로 받은 값을 보여 드립니다. 다시 연결하고 있습니다.", "Connection lost: these are the last figures received; reconnecting.", words);
}

// ---- showing

function show(answer) {
  const fresh = shownFor !== JSON.stringify(choice);
  shownFor = JSON.stringify(choice);
  $("content").hidden = answer.table.rows.length === 0;
  facts(answer);
  $("basis").replaceChildren(...both(sentence(answer.view === "today" ? "by_move" : "by_room_end")));
  if (answer.table.rows.length === 0) return waiting();
  told(answer);
  totals(answer);
  table.show({ ...answer, caption: caption(answer) }, fresh);
  chart.show(answer);
}

function waiting() {
  notice("empty", "오늘은 아직 자료가 없습니다. 첫 이벤트가 오면 바로 나타납니다.", "No data yet today: the first event will show here by itself.");
}

function told(answer) {
  const said = [];
  if (answer.missing?.length) {
    const list = answer.missing.join(", ");
    said.push({ ko: `마감되지 않은 날은 빠져 있습니다: ${list}`, en: `Days not sealed are left out: ${list}` });
  }
  if (answer.out_of_use?.length) {
    const list = answer.out_of_use.join(", ");
    said.push({ ko: `챗봇 사용이 중지된 날은 빠져 있습니다: ${list}`, en: `Days on which the bot was out of use are left out: ${list}` });
  }
  if (said.length) warn(said);
  else quiet();
}

function caption(answer) {
  const range = answer.view === "today" ? answer.day : answer.from === answer.to ? answer.from : `${answer.from} ~ ${answer.to}`;
  const kind = answer.view === "today" ? { ko: "오늘, 잠정", en: "today, provisional" } : { ko: "마감", en: "sealed" };
  return { ko: `${answer.site} / ${answer.bot} · ${range} (${kind.ko})`, en: kind.en };
}

function facts(answer) {
  const made = [];
  if (answer.view === "today") {
    made.push(badge("provisional", { ko: "잠정", en: "provisional" }), fact({ ko: "날짜", en: "day" }, answer.day),
      fact({ ko: "마지막 갱신", en: "last update" }, el("time", { datetime: answer.as_of, id: "updated" }, clock(answer.as_of, zone))));
  } else {
    const sealed = answer.days.filter((day) => day.sealed);
    const asOf = sealed.map((day) => day.as_of).sort().at(-1);
    const revisions = [...new Set(sealed.map((day) => day.revision))].sort((a, b) => a - b).join(", ");
    made.push(badge("sealed", { ko: "마감", en: "sealed" }), fact({ ko: "마감된 날", en: "days sealed" }, `${count(sealed.length)} / ${count(answer.days.length)}`),
      fact({ ko: "마감 차수", en: "revision" }, revisions), fact({ ko: "마감 기준 시각", en: "as of" }, clock(asOf, zone, true)));
  }
  made.push(fact({ ko: "시간대", en: "time zone" }, zone));
  $("facts").classList.remove("stale");
  $("facts").replaceChildren(...made);
}

const badge = (kind, name) => el("strong", { class: `badge ${kind}` }, ...both(name));
const fact = (name, value) => el("span", { class: "fact" }, ...both(name), " ", el("b", {}, value));

/** Moves add up over rows; rooms and customers do not, so only the sealed totals have them. */
function totals(answer) {
  const figures = answer.view === "today" ? summed(answer.table) : answer.totals;
  const names = ["rooms", "customers", "visits", ...WAYS, "open"].filter((name) => figures[name] != null);
  $("totals").replaceChildren(...names.map((name) =>
    el("div", {}, el("dt", {}, ...both(WAYS.includes(name) ? move(name) : column(name))), el("dd", {}, count(figures[name])))));
}

function summed({ columns, rows }) {
  const at = Object.fromEntries(columns.map((name, i) => [name, i]));
  const sums = Object.fromEntries(["visits", ...WAYS, "open"].map((name) => [name, 0]));
  const seen = new Set();
  for (const row of rows) {
    const dialog = `${row[at.step]}|${row[at.dialog]}`;
    if (!seen.has(dialog)) sums.visits += row[at.inflow];
    seen.add(dialog);
    sums[row[at.move]] += row[at.moves];
  }
  return sums;
}

// ---- loading

const fetchChosen = () => choice.view === "today"
  ? ask("today", { site: choice.site, bot: choice.bot })
  : ask("journey", { site: choice.site, bot: choice.bot, from: choice.from, to: choice.to });

/** Show what is chosen; what comes while an answer is awaited is asked for once more afterwards. */
async function load() {
  if (busy === turn) {
    again = true;
    return;
  }
  const mine = (busy = turn);
  try {
    do {
      again = false;
      const answer = await fetchChosen();
      if (mine !== turn) return;
      show(answer);
    } while (again);
  } catch (error) {
    if (mine !== turn) return;
    if (!(error instanceof Refused)) throw error;
    failed(error);
  } finally {
    if (busy === mine) busy = null;
  }
}

function failed(error) {
  const passing = error.kind === "unreachable" || error.kind === "lost" || error.kind === "busy";
  if (passing && choice.view === "today" && shownFor === JSON.stringify(choice)) return stale(error.message);
  $("content").hidden = true;
  $("facts").replaceChildren();
  $("basis").replaceChildren();
  refuse(error);
}

function start() {
  turn += 1;
  mute();
  mute = () => {};
  if (shownFor !== JSON.stringify(choice)) notice("loading", "불러오는 중…", "Loading…");
  keepAddress();
  $("range").hidden = choice.view === "today";
  if (choice.view === "today") mute = listen(choice.site, choice.bot, load, state);
  else load();
}

function state(name, words) {
  if (name === "live" && $("facts").classList.contains("stale")) load();
  else if (name !== "live") stale(words);
}

function keepAddress() {
  const kept = choice.view === "today" ? { site: choice.site, bot: choice.bot, view: "today" } : choice;
  history.replaceState(null, "", `?${new URLSearchParams(kept)}`);
}

// ---- choosing

async function fillBots() {
  const { bots } = await ask("bots");
  const sites = [...new Set(bots.map((bot) => bot.site_id))];
  $("bot").replaceChildren(...sites.map((site) => el("optgroup", { label: site }, ...bots.filter((bot) => bot.site_id === site).map((bot) =>
    el("option", { value: JSON.stringify([bot.site_id, bot.bot_id]) }, bot.name && bot.name !== bot.bot_id ? `${bot.name} (${bot.bot_id})` : bot.bot_id)))));
  $("bot").disabled = bots.length === 0;
  return bots;
}

async function fillDays() {
  days = await ask("days");
  zone = days.timezone;
  for (const id of ["from", "to"]) Object.assign($(id), { max: days.yesterday, min: days.first_day });
}

function fromAddress(bots) {
  const asked = Object.fromEntries(new URLSearchParams(location.search));
  const there = bots.find((bot) => bot.site_id === asked.site && bot.bot_id === asked.bot) ?? bots[0];
  Object.assign(choice, { site: there.site_id, bot: there.bot_id, view: asked.view === "sealed" ? "sealed" : "today" });
  const last = days.last_sealed ?? days.yesterday;
  choice.from = /^\d{4}-\d\d-\d\d$/.test(asked.from) ? asked.from : last;
  choice.to = /^\d{4}-\d\d-\d\d$/.test(asked.to) ? asked.to : last;
  $("bot").value = JSON.stringify([choice.site, choice.bot]);
  $("from").value = choice.from;
  $("to").value = choice.to;
  document.querySelector(`input[name=view][value=${choice.view}]`).checked = true;
}

function chosen() {
  [choice.site, choice.bot] = JSON.parse($("bot").value);
  choice.view = document.querySelector("input[name=view]:checked").value;
  if ($("from").value) choice.from = $("from").value;
  if ($("to").value) choice.to = $("to").value;
  start();
}

async function begin() {
  notice("loading", "불러오는 중…", "Loading…");
  try {
    learn(await ask("labels"));
    await fillDays();
    const bots = await fillBots();
    if (bots.length) {
      fromAddress(bots);
      start();
      return;
    }
    notice("empty", "아직 자료가 없습니다. 이벤트가 오면 바로 나타납니다.", "No data yet: send events (`turnpath simulate`) and they show here.");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    refuse(error);
  }
  setTimeout(begin, NO_BOT_YET_MS);
}

$("controls").addEventListener("change", chosen);
$("controls").addEventListener("submit", (event) => event.preventDefault());
$("export").addEventListener("click", () => save($("export"), choice, refuse));
// a bot that speaks for the first time shall be there to choose
$("bot").addEventListener("focus", () => fillBots().then(() => { $("bot").value = JSON.stringify([choice.site, choice.bot]); }).catch(() => {}));
loadChartLibrary().finally(begin);

/** Absent (Maven never ran here), the page goes on with its table. */
function loadChartLibrary() {
  return new Promise((done) => {
    const script = el("script", { src: "/echarts.min.js" });
    script.onload = script.onerror = done;
    document.head.append(script);
  });
}
