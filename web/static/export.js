// 엑셀 내보내기: the workbook of what the page shows.

import { both } from "./text.js";

const IDLE = { ko: "엑셀 내보내기", en: "Export to Excel" };
const MAKING = { ko: "파일을 만드는 중…", en: "Making the file…" };

/** Ask for the workbook and hand it to the browser; `refuse` hears why there is none. */
export async function save(button, { site, bot, view, from, to }, refuse) {
  if (button.disabled) return;
  const query = new URLSearchParams(view === "today" ? { site, bot } : { site, bot, from, to });
  say(button, MAKING, true);
  try {
    const response = await fetch(`/api/export?${query}`);
    if (response.ok) hand(await response.blob(), nameOf(response));
    else refuse(said(await response.json().catch(() => ({})), response.status));
  } catch {
    refuse(said({ error: "the page's server does not answer", kind: "lost", what_to_do: "see that `turnpath web` runs, then try again" }));
  } finally {
    say(button, IDLE, false);
  }
}

function say(button, words, disabled) {
  button.disabled = disabled;
  button.replaceChildren(...both(words));
}

const said = ({ error, kind, what_to_do: todo }, status) => Object.assign(new Error(error ?? `HTTP ${status}`), { kind, todo });

const nameOf = (response) => decodeURIComponent(/filename\*=UTF-8''([^;]+)/.exec(response.headers.get("Content-Disposition"))?.[1] ?? "export.xlsx");

function hand(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
