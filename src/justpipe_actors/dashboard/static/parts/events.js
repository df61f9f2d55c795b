// The events of a run: tokens folded, searched on the server, payloads when one asks.
import { attempt, problem } from "../base/attempt.js";
import { button, chip, dim, el, put } from "../base/dom.js";
import { get, getText } from "../base/api.js";
import { count, counted, duration, sequence, size } from "../base/format.js";
import { delayed } from "../base/live.js";
import { redraw } from "../base/redraw.js";
import { headRow } from "../base/table.js";
import { labelOf } from "./model.js";
import { jsonTree } from "./tree.js";

const PAGE = 300;

export class Events {
	constructor(run, model) {
		this.run = run;
		this.model = model;
		this.path = `api/runs/${encodeURIComponent(run.run_id)}/events`;
		this.types = new Set();
		this.next = 0;
		this.body = el("tbody");
		this.chips = el("div", { class: "chips", role: "group", "aria-label": "Types" });
		this.more = el("div", { class: "more" });
		this.search = el("input", {
			type: "search",
			"aria-label": "Search all events",
			placeholder: "Search all events, payloads too",
			oninput: delayed(() => this.load()),
		});
		this.node = el(
			"div",
			{},
			el("div", { class: "bar-tools" }, this.search, this.chips),
			el("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Events" }, el("table", { class: "events" }, headRow(["#No.", "#Time", "Type", "Step", "Payload"]), this.body)),
			this.more,
		);
		this.drawChips();
	}

	drawChips() {
		const counts = Object.entries(this.run.event_counts).sort((a, b) => b[1] - a[1]);
		redraw(
			this.chips,
			counts.map(([type, n]) =>
				chip(type, count(n), this.types.has(type), () => {
					if (!this.types.delete(type)) this.types.add(type);
					this.drawChips();
					this.load();
				}),
			),
		);
	}

	async load() {
		put(this.body);
		this.next = 0;
		await this.loadMore();
	}

	async loadMore() {
		const query = (this.asked = { type: [...this.types], q: this.search.value.trim(), after: this.next, limit: PAGE, payload: "cut" });
		const page = await get(this.path, query).catch((problem) => ({ problem }));
		if (query !== this.asked) return; // other events were asked for meanwhile
		if (page.problem) {
			redraw(this.more, problem(page.problem.message, () => this.loadMore()));
			return;
		}
		this.body.append(...fold(page.events).map((group) => this.row(group)));
		this.next = page.next;
		redraw(this.more, page.next === null ? null : button("Load more", () => this.loadMore()));
		if (!this.body.children.length) put(this.body, el("tr", {}, el("td", { colspan: 5, class: "dim" }, "No event matches.")));
	}

	row(group) {
		const [event] = group;
		const at = Math.max(0, event.at - this.model.t0);
		const isTokens = group.length > 1;
		const preview = isTokens ? tokensText(group) : previewOf(event);
		const opener = button(preview || "–", () => this.toggle(row, opener, group), { class: "link preview", "aria-expanded": "false" });
		const row = el(
			"tr",
			{ class: `event ${event.event_type}` },
			el("td", { class: "number dim" }, isTokens ? `${sequence(event.seq)}–${sequence(group.at(-1).seq)}` : sequence(event.seq)),
			el("td", { class: "number", title: event.timestamp }, duration(at)),
			el("td", {}, event.event_type),
			el("td", {}, event.step_name === "system" ? dim("system") : labelOf(event.step_name, event.scope)),
			el("td", { class: "wide" }, opener),
		);
		return row;
	}

	toggle(row, opener, group) {
		const isOpen = opener.getAttribute("aria-expanded") === "true";
		opener.setAttribute("aria-expanded", String(!isOpen));
		if (isOpen) {
			row.nextSibling.remove();
			return;
		}
		const content = group.length > 1 ? [el("pre", {}, group.map((event) => textOf(event.payload)).join(""))] : this.details(group[0]);
		row.after(el("tr", {}, el("td", { colspan: 5 }, content)));
	}

	details(event) {
		const place = el("span");
		const all = event.is_cut
			? button(`load all (${size(event.size)})`, () => attempt(place, "The payload was not read", () => this.loadAll(event, all)), { class: "link" })
			: null;
		const payload = event.is_cut ? el("pre", {}, `${event.payload}…`) : jsonTree(event.payload ?? null, { open: 2 });
		const copy = button("copy payload", () => attempt(place, "The payload was not copied", () => this.copy(event)), { class: "link" });
		return [payload, el("p", {}, copy, " ", all, " ", place), event.meta ? el("div", {}, el("b", {}, "meta"), jsonTree(event.meta, { open: 2 })) : null, el("p", { class: "dim mono" }, `invocation ${event.invocation_id || "–"}, attempt ${event.attempt}`)].filter(Boolean);
	}

	async loadAll(event, opener) {
		const text = await getText(`${this.path}/${event.seq}`, { part: "payload" });
		opener.replaceWith(text.length < 2e6 ? jsonTree(JSON.parse(text), { open: 1 }) : el("pre", {}, text));
	}

	async copy(event) {
		const text = await getText(`${this.path}/${event.seq}`, { part: "payload" });
		await navigator.clipboard.writeText(text);
	}
}

/** Put consecutive tokens of one invocation together. */
function fold(events) {
	const groups = [];
	for (const event of events) {
		const group = groups.at(-1);
		if (event.event_type === "token" && group && group[0].event_type === "token" && group[0].invocation_id === event.invocation_id) group.push(event);
		else groups.push([event]);
	}
	return groups;
}

export function textOf(payload) {
	return typeof payload === "string" ? payload : `${JSON.stringify(payload)}\n`;
}

function tokensText(group) {
	const text = group.map((event) => textOf(event.payload)).join("");
	return `${counted(group.length, "token")}, ${counted(text.length, "character")}: ${text.slice(0, 80)}`;
}

function previewOf(event) {
	if (event.payload === undefined) return "not shown";
	if (event.payload === null) return "";
	const text = typeof event.payload === "string" ? event.payload : JSON.stringify(event.payload);
	return text.length > 140 ? `${text.slice(0, 140)}…` : text;
}
