// The push: one stream of Server-Sent Events for the bot on screen; it heals itself, and rests while nobody looks.

const SILENCE_MS = 6000;
const AGAIN_MS = 2000;

/** Listen for `site` and `bot`: `onNews()` when figures changed, `onState(state, words)`: live, trouble or lost. */
export function listen(site, bot, onNews, onState) {
  let source = null;
  let silence = 0;
  let again = 0;
  let ended = false;

  function heard() {
    clearTimeout(silence);
    silence = setTimeout(lost, SILENCE_MS);
  }

  function lost() {
    onState("lost");
    close();
    if (!ended && !document.hidden) again = setTimeout(open, AGAIN_MS);
  }

  function open() {
    close();
    source = new EventSource(`/api/live?${new URLSearchParams({ site, bot })}`);
    source.addEventListener("today", () => { heard(); onState("live"); onNews(); });
    source.addEventListener("beat", () => { heard(); onState("live"); });
    source.addEventListener("trouble", (event) => { heard(); onState("trouble", JSON.parse(event.data).error); });
    source.onerror = lost;
    heard();
  }

  function close() {
    clearTimeout(silence);
    clearTimeout(again);
    source?.close();
    source = null;
  }

  const look = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", look);
  look();
  return () => {
    ended = true;
    document.removeEventListener("visibilitychange", look);
    close();
  };
}
