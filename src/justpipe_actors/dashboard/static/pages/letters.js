// Messages that broke what performed them, the newest first.
import { problem } from "../base/attempt.js";
import { el, put } from "../base/dom.js";
import { get } from "../base/api.js";
import { count, moment } from "../base/format.js";
import { setTitle } from "../base/frame.js";
import { subscribe } from "../base/live.js";
import { Table } from "../base/table.js";
import { runLink } from "../parts/links.js";

export async function show(main) {
	setTitle("Dead letters");
	const note = el("p", { class: "dim" });
	const table = new Table(
		[
			{ key: "at", label: "When", cell: (letter) => moment(letter.at) },
			{ key: "actor", label: "Actor" },
			{ key: "run_id", label: "Run", cell: (letter) => runLink(letter.run_id) },
			{ key: "attempt", label: "Attempt", number: true },
			{ key: "reason", label: "What became of it", class: "wrap" },
			{ key: "error", label: "Error", class: "wrap", cell: (letter) => el("span", { class: "mono bad" }, letter.error || "") },
		],
		{ label: "Dead letters", key: (letter) => `${letter.run_id} ${letter.at}`, empty: "Every message was answered." },
	);

	let total = -1;
	let known = -1; // the number of letters, as the stream said
	let isAsking = false;

	async function load() {
		const data = await get("api/letters");
		total = data.total;
		table.show(data.letters);
		note.textContent = total > data.letters.length ? `The last ${data.letters.length} of ${count(total)}.` : "";
	}

	put(main, el("div", { class: "head" }, el("h1", {}, "Dead letters")), el("section", { class: "card" }, table.withChooser("letters"), note));
	await load();

	/** Ask again when the number is another one, once at a time, so that no late reply is shown. */
	async function look() {
		if (isAsking || known === total) return;
		isAsking = true;
		const number = known;
		const isLoaded = await load().then(() => true, (error) => put(note, problem(error.message, look)));
		isAsking = false;
		if (isLoaded && known !== number) look(); // there were more meanwhile
	}

	subscribe("live/stream", null, {
		live: (data) => {
			known = data.dead_letters;
			look();
		},
	});
}
