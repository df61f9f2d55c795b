// Why a run waits, as elements.
import { el } from "../base/dom.js";
import { address } from "../base/api.js";
import { duration, short } from "../base/format.js";
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
