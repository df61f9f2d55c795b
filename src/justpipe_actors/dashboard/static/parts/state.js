// The state: what each step changed, and the whole of it after an event.
import { attempt } from "../base/attempt.js";
import { button, dim, el, put, remark } from "../base/dom.js";
import { get } from "../base/api.js";
import { counted, sequence, size } from "../base/format.js";
import { diffList, jsonTree } from "./tree.js";

/** Show the states; returns a function that shows the one after an event, for the replay. */
export async function showStates(place, run, model) {
	const path = `api/runs/${encodeURIComponent(run.run_id)}/states`;
	const { states } = await get(path);
	if (states.length === 0) {
		put(place, el("p", { class: "dim pad" }, "No state was stored (persist_state=\"none\")."));
		return null;
	}
	const view = el("div", { class: "view", "aria-live": "polite" });
	const labels = new Map(model.spans.map((span) => [span.id, span.label]));
	const buttons = states.map((state, index) =>
		button(
			[
				el("span", { class: "name" }, state.step === "system" ? "start" : labels.get(state.invocation_id) || state.step),
				el("span", { class: state.changes ? "tag" : "dim" }, state.changes === null ? size(state.size) : state.changes ? counted(state.changes, "change") : "no change"),
			],
			() => open(index),
			{ class: "entry" },
		),
	);

	let shown = -1;

	async function open(index) {
		if (index === shown) return;
		shown = index;
		const state = states[index];
		buttons.forEach((button, n) => button.setAttribute("aria-pressed", String(n === index)));
		const whole = el("details", {}, el("summary", {}, `The whole state (${size(state.size)})`));
		whole.addEventListener("toggle", async () => {
			if (!whole.open || whole.dataset.filled) return;
			whole.dataset.filled = "1";
			const content = el("div");
			whole.append(content);
			await attempt(content, "The state was not read", async () => content.after(jsonTree((await get(path, { at: state.seq })).state, { open: 2 })));
		});
		const changes = index === 0 ? null : get(path, { from: states[index - 1].seq, to: state.seq });
		const difference = await Promise.resolve(changes).then((found) => found && diffList(found), (error) => remark(error.message));
		if (index !== shown) return; // another one was asked for meanwhile
		put(view, el("h3", {}, `After ${buttons[index].querySelector(".name").textContent}`, dim(` · event ${sequence(state.seq)}`)), difference, whole);
		if (index === 0) whole.open = true;
	}

	put(place, el("div", { class: "sides" }, el("div", { class: "list scroll", role: "group", "aria-label": "Steps that showed the state" }, buttons), view));
	const changed = states.findLastIndex((state) => state.changes);
	await open(changed < 0 ? 0 : changed);
	return (sequence) => open(Math.max(0, states.findLastIndex((state) => state.seq <= sequence)));
}
