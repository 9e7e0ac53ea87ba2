// Words, numbers and elements. Text goes into the page only as text nodes: dialog names are other people's data.

let words = { moves: {}, messages: {}, columns: {}, table: [], today_table: [] };

export function learn(labels) {
  words = labels;
}

export const sentence = (name) => words[name];
export const shown = (view) => (view === "today" ? words.today_table : words.table);

const own = (map, key) => (map && Object.hasOwn(map, key) ? map[key] : null);

export const column = (name) => own(words.columns, name) ?? { ko: name, en: name };
export const move = (name) => own(words.moves, name) ?? { ko: name, en: name };
export const message = (name, text) => own(own(words.messages, name), text) ?? { ko: text, en: text };

/** An element with attributes and children; strings become text. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null && child !== ""));
  return made;
}

/** Korean, with English beside where it differs. */
export function both({ ko, en }) {
  return ko === en ? [ko] : [ko, " ", el("span", { lang: "en" }, en)];
}

export const count = (n) => Number(n).toLocaleString("ko-KR");
export const rate = (r) => `${(Number(r) * 100).toFixed(1)}%`;

export function cell(name, value) {
  return name === "dropout_rate" ? rate(value) : count(value);
}

/** A time in the stack's zone, to the second. */
export function clock(iso, zone, withDay = false) {
  const day = withDay ? { year: "numeric", month: "2-digit", day: "2-digit" } : {};
  return new Intl.DateTimeFormat("sv-SE", {
    timeZone: zone, hour: "2-digit", minute: "2-digit", second: "2-digit", ...day,
  }).format(new Date(iso));
}
