// Ctrl K: find a run by the beginning of its id or the name of its pipeline.
import { dim, el, put, showDialog } from "./dom.js";
import { address, get } from "./api.js";
import { age, short } from "./format.js";
import { delayed } from "./live.js";
import { statusBadge } from "../parts/status.js";

const SHORTEST = 3; // characters that the server searches for
const RECENT = 8;

let open = null;

export function openPalette() {
	if (open) {
		open.close();
		return;
	}
	const field = el("input", {
		type: "search",
		role: "combobox",
		"aria-expanded": "true",
		"aria-controls": "found",
		"aria-label": "Find a run",
		placeholder: "Id or pipeline, at least 3 characters",
		autocomplete: "off",
		spellcheck: "false",
	});
	const list = el("ul", { id: "found", role: "listbox", "aria-label": "Runs" });
	const note = el("p", { class: "dim", role: "status" });
	const dialog = el("dialog", { class: "palette", "aria-label": "Find a run" }, field, list, note);
	let marked = 0;

	async function search() {
		const text = field.value.trim();
		const isShort = text.length < SHORTEST;
		const answer = isShort ? get("api/runs", { limit: RECENT }).then((page) => page.runs) : get("api/runs/search", { q: text, limit: 12 });
		const runs = await answer.catch((problem) => ({ problem }));
		if (field.value.trim() !== text) return;
		marked = 0;
		put(list, runs.problem ? [] : runs.map(option));
		if (runs.problem) note.textContent = runs.problem.message;
		else note.textContent = isShort ? "The newest runs; type at least 3 characters to find others." : runs.length ? "" : `No run matches “${text}”.`;
		mark();
	}

	function option(run, index) {
		return el(
			"li",
			{ role: "option", id: `found-${index}`, "data-href": address(`runs/${run.run_id}`) },
			statusBadge(run.status),
			el("span", { class: "mono" }, short(run.run_id)),
			el("span", { class: "grow" }, run.pipeline_name),
			dim(age(run.start_time)),
		);
	}

	function mark() {
		[...list.children].forEach((item, index) => item.setAttribute("aria-selected", String(index === marked)));
		field.setAttribute("aria-activedescendant", list.children.length ? `found-${marked}` : "");
	}

	function move(step) {
		const most = list.children.length;
		if (most) marked = (marked + step + most) % most;
		mark();
	}

	field.addEventListener("input", delayed(search));
	field.addEventListener("keydown", (event) => {
		if (event.key === "ArrowDown") move(1);
		else if (event.key === "ArrowUp") move(-1);
		else if (event.key === "Enter" && list.children[marked]) location.assign(list.children[marked].dataset.href);
		else return;
		event.preventDefault();
	});
	list.addEventListener("click", (event) => {
		const item = event.target.closest("li");
		if (item) location.assign(item.dataset.href);
	});
	dialog.addEventListener("close", () => {
		open = null;
	});
	showDialog(dialog);
	open = dialog;
	search();
}
