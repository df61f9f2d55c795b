// Runs and moments, as every page writes them.
import { el } from "../base/dom.js";
import { address } from "../base/api.js";
import { age, moment, short } from "../base/format.js";

/** Build a link to a run. */
export function runLink(id) {
	return el("a", { class: "mono", href: runAddress(id), title: id }, short(id));
}

/** Return the address of a run's page. */
export function runAddress(id) {
	return address(`runs/${encodeURIComponent(id)}`);
}

/** Build a moment: local time, with the whole of it on hover. */
export function timeOf(iso) {
	return el("time", { datetime: iso, title: `${iso} (${age(iso)})` }, moment(iso));
}
