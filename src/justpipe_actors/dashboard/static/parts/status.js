// A status is a shape, a word and a colour, never a colour alone.
import { el, icon } from "../base/dom.js";

export const LABELS = [
	"running",
	"waiting",
	"suspended",
	"stuck",
	"failed",
	"timeout",
	"cancelled",
	"client_closed",
	"abandoned",
	"success",
];

const WORDS = { client_closed: "client closed" };

/** Return the word for a status. */
export function statusWord(status) {
	return WORDS[status] || status;
}

/** Return the family of colours: ok, bad, run, wait or off. */
export function statusTone(status) {
	if (["success", "done"].includes(status)) return "ok";
	if (["failed", "timeout", "stuck"].includes(status)) return "bad";
	if (["running"].includes(status)) return "run";
	if (["waiting", "ready", "suspended", "retried", "interrupted", "unfinished", "abandoned"].includes(status)) return "wait";
	return "off";
}

/** Build the first tags of a run, and say how many more there are. */
export function tagList(tags, most) {
	const shown = tags.slice(0, most).map((tag) => el("span", { class: "tag", title: tag }, tag));
	const rest = tags.slice(most);
	return rest.length ? [...shown, el("span", { class: "dim", title: rest.join(", ") }, `and ${rest.length} more`)] : shown;
}

/** Build a badge: icon and word. */
export function statusBadge(status) {
	return el("span", { class: `status ${statusTone(status)}`, "data-status": status }, icon(status), statusWord(status));
}
