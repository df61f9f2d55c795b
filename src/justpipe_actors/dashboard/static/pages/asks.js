// Questions that runs ask people: answered here, with a form made from its JSON schema.
import { el, put, remark } from "../base/dom.js";
import { get, post } from "../base/api.js";
import { age, counted, moment } from "../base/format.js";
import { setTitle } from "../base/frame.js";
import { subscribe } from "../base/live.js";
import { formOf } from "../parts/form.js";
import { runLink } from "../parts/links.js";

export async function show(main, site) {
	setTitle("Asks");
	const list = el("div", { class: "asks" });
	const note = el("p", { class: "dim", role: "status" });
	const cards = new Map(); // id of a question -> its card

	function draw({ asks }) {
		note.textContent = asks.length ? `${counted(asks.length, "question")} open` : "No run asks anything.";
		const open = new Set(asks.map((ask) => ask.id));
		for (const [id, card] of cards) {
			if (open.has(id)) continue;
			cards.delete(id);
			if (!card.dataset.answered) card.remove();
		}
		for (const ask of asks) {
			if (cards.has(ask.id)) continue; // what is typed in it stays
			cards.set(ask.id, card(ask, site));
			list.append(cards.get(ask.id));
		}
	}

	put(main, el("div", { class: "head" }, el("h1", {}, "Asks")), note, list);
	draw(await get("api/asks"));
	subscribe("asks/stream", null, { asks: draw });
}

function card(ask, site) {
	const result = el("p", { role: "status" });
	const canAnswer = site.actions.includes("answer");
	const node = el(
		"section",
		{ class: "card ask", "aria-label": ask.note || ask.id },
		el("h2", {}, ask.note || `${ask.step} asks`),
		el(
			"p",
			{ class: "dim" },
			`${ask.pipe} · ${ask.step} · run `,
			runLink(ask.run_id),
			` · asked ${age(ask.asked_at)}`,
			ask.due_at ? ` · due ${moment(ask.due_at)}` : "",
		),
		ask.problem ? el("p", { class: "problem" }, `An earlier answer was not taken: ${ask.problem}`) : null,
		canAnswer ? null : remark("This dashboard is read-only: ", el("code", {}, `justpipe-actors answer ${ask.id} VALUE`)),
		result,
	);
	if (canAnswer) {
		const form = formOf(ask.form, `ask ${ask.id}`, async (value) => {
			node.dataset.answered = "1"; // the list of open questions may come before the reply
			try {
				await post(`api/asks/${encodeURIComponent(ask.id)}/answer`, { value });
				form.remove();
				put(result, `Answered: ${JSON.stringify(value)}`);
			} catch (error) {
				delete node.dataset.answered;
				result.className = "problem";
				put(result, error.message);
				if (error.status === 409) form.remove();
			}
		});
		result.before(form);
	}
	return node;
}
