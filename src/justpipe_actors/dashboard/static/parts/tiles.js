// Facts as tiles, as several pages begin with.
import { el } from "../base/dom.js";

/** Build tiles of facts: [name, value, tone]. */
export function tiles(facts) {
	return el("dl", { class: "tiles" }, facts.map(([name, value, tone]) => el("div", {}, el("dt", {}, name), el("dd", { class: tone || null }, value))));
}
