// Why a run waits, as elements.
import { el } from "../base/dom.js";
import { duration } from "../base/format.js";
import { runLink } from "./links.js";
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
			reason.holder ? [" ", runLink(reason.holder)] : null,
			reason.since !== undefined ? el("span", { class: "dim" }, ` for ${duration(reason.since)}`) : null,
			reason.where ? [" ", el("code", { class: "dim", title: reason.where }, reason.where.split(/[\\/]/).at(-1))] : null,
		),
	);
}
