"use strict";
// The page in the viewer: what belongs to a target is asked for, and reviews are written back.
(() => {
  const byId = (id) => document.getElementById(id);
  const live = JSON.parse(byId("live-data").textContent);
  const rows = new Map(Array.from(document.querySelectorAll("#table tbody tr"), (row) => [row.querySelector(".pick").textContent, row]));
  // What this page has seen, by target: [review, note].
  const seen = new Map(Object.entries(live.reviews));
  const drafts = new Map();
  // What a note that is being written began from: others may change it meanwhile, and its author has not seen that.
  const began = new Map();
  let { version } = live;
  let chosen = null;
  let saving = false;

  const ask = async (path, options = {}) => {
    let answer;
    try {
      answer = await fetch(path, { ...options, headers: { "X-Groundshift-Token": live.token, ...options.headers } });
    } catch {
      throw new Error(`The viewer does not answer; start it again with: groundshift view ${live.folder}`);
    }
    const told = await answer.json().catch(() => ({ error: `The viewer answers ${answer.status}.` }));
    if (!answer.ok) throw Object.assign(new Error(told.error), { told });
    return told;
  };

  window.groundshiftFind = async (index, id) => {
    const told = await ask(`/target?${new URLSearchParams({ id })}`);
    const page = new DOMParser().parseFromString(told.html, "text/html");
    return { about: document.adoptNode(page.querySelector(".about")), series: told.series, key: id };
  };

  // ---- the form, which a survey without targets has not ----
  const lines = (text) => text.replaceAll("\r\n", "\n").replaceAll("\r", "\n");
  const say = (text) => { byId("review-state").textContent = text; };
  const complain = (text) => {
    byId("review-problem").hidden = !text;
    byId("review-problem").textContent = text;
  };
  const buttons = Array.from(document.querySelectorAll("#review [data-review]"));
  const fill = () => {
    const [review, note] = seen.get(chosen);
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.review === review)));
    byId("note").value = drafts.get(chosen) ?? note;
  };
  const keep = (id, state) => {
    seen.set(id, state);
    const row = rows.get(id);
    if (!row) return;
    row.dataset.review = state[0];
    row.cells[12].textContent = state[0];
    row.cells[13].textContent = state[1];
    document.dispatchEvent(new CustomEvent("groundshift:filter"));
  };
  byId("note")?.addEventListener("input", () => {
    if (chosen === null) return;
    const text = byId("note").value;
    if (text === lines(seen.get(chosen)[1])) {
      drafts.delete(chosen);
      began.delete(chosen);
    } else {
      drafts.set(chosen, text);
      if (!began.has(chosen)) began.set(chosen, seen.get(chosen));
    }
  });

  const save = async (review) => {
    if (saving || chosen === null) return;
    const id = chosen;
    const [seenReview, seenNote] = began.get(id) ?? seen.get(id);
    const note = drafts.get(id) ?? seenNote;
    saving = true;
    complain("");
    say("saving …");
    try {
      const told = await ask("/review", {
        method: "POST", headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ id, review: review ?? seenReview, note, seen_review: seenReview, seen_note: seenNote }),
      });
      keep(id, [told.review, told.note]);
      began.delete(id);
      if (drafts.get(id) === note) drafts.delete(id);
      else if (drafts.has(id)) began.set(id, seen.get(id));
      if (id === chosen) say(`saved at ${new Date().toLocaleTimeString()}`);
    } catch (error) {
      if (error.told?.review) {
        // Somebody was faster: what stands there now is shown, and seen with that; what was typed stays in the field.
        keep(id, [error.told.review, error.told.note]);
        began.delete(id);
      }
      if (id === chosen) {
        say("not saved");
        complain(error.message);
      }
    }
    saving = false;
    if (id === chosen) fill();
  };
  buttons.forEach((button) => button.addEventListener("click", () => save(button.dataset.review)));
  byId("review")?.addEventListener("submit", (event) => { event.preventDefault(); save(null); });

  document.addEventListener("groundshift:pick", (event) => {
    const { row } = event.detail;
    chosen = row ? row.querySelector(".pick").textContent : null;
    say("");
    complain("");
    if (chosen !== null) fill();
  });

  // ---- what others change ----
  const warn = (text) => {
    byId("viewer-problem").hidden = !text;
    byId("viewer-problem").textContent = text;
  };
  const take = (id, state) => {
    const before = seen.get(id);
    if (before[0] === state[0] && before[1] === state[1]) return;
    keep(id, state);
    if (id !== chosen) return;
    fill();
    say(`changed by somebody else just now: ${state[0]}${drafts.has(id) ? `, note “${state[1]}”` : ""}`);
  };
  const listen = async () => {
    try {
      const told = await ask(`/state?${new URLSearchParams({ version })}`);
      document.documentElement.dataset.viewer = "ready";
      warn(told.problem);
      if (told.generation === live.generation) {
        version = told.version;
        Object.entries(told.changed).forEach(([id, state]) => take(id, state));
      } else if (drafts.size) {
        warn("The survey has written its results anew. Save or copy your note, then reload this page.");
      } else {
        location.reload();
      }
    } catch (error) {
      warn(error.message);
    }
    setTimeout(listen, live.interval_ms);
  };
  listen();
})();
