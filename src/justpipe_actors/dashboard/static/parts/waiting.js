// Why a run waits, as elements; and the page of a run that is at work and is not stored.
import { el, put } from "../base/dom.js";
import { address, get } from "../base/api.js";
import { duration, short } from "../base/format.js";
import { setTitle } from "../base/frame.js";
import { subscribe } from "../base/live.js";
import { statusBadge } from "./status.js";
import { reasonsOf } from "./waits.js";

/** Build one line for each reason; a dash when there is none. */
export function reasonsList(run, data) {
  const reasons = reasonsOf(run, data);
  if (reasons.length === 0) return el("span", { class: "dim" }, "–");
  return reasons.map((reason) =>
    el(
      "div",
      {},
      el("span", { class: reason.tone }, reason.text),
      reason.holder ? [" ", el("a", { class: "mono", href: address(`runs/${reason.holder}`) }, short(reason.holder))] : null,
      reason.since !== undefined ? el("span", { class: "dim" }, ` for ${duration(reason.since)}`) : null,
      reason.where ? [" ", el("code", { class: "dim", title: reason.where }, reason.where.split(/[\\/]/).at(-1))] : null,
    ),
  );
}

/** Show a run that only the supervisor knows; false when it does not know it, either. */
export async function showUnstored(main, id) {
  const first = await get("api/live");
  const known = (data) => data.runs.find((run) => run.run_id === id);
  if (!known(first)) return false;
  const content = el("div");

  function draw(data) {
    const run = known(data);
    if (!run) {
      put(content, el("p", {}, "The run is over. It was not stored: its pipe has no ", el("code", {}, "persist=True"), "."));
      return;
    }
    put(
      content,
      el("div", { class: "head" }, el("h1", {}, statusBadge("running"), ` ${run.pipe}`), el("span", { class: "mono" }, id), el("span", { class: "dim" }, `for ${duration(run.age)}`)),
      el("section", { class: "card hold", "aria-label": "What it waits for" }, el("h2", {}, "What it does now"), reasonsList(run, data)),
      el("p", { class: "dim" }, "This run is not stored, so only what it does now is known."),
    );
  }

  setTitle(`${short(id)} ${known(first).pipe}`);
  put(main, content);
  draw(first);
  subscribe("live/stream", null, { live: draw });
  return true;
}
