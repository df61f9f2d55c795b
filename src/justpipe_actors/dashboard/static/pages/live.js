// The state of a supervisor: runs at work, what each waits for, its line of code, the tree.
import { attempt } from "../base/attempt.js";
import { button, dim, el, icon, put } from "../base/dom.js";
import { get, getText, post } from "../base/api.js";
import { count, counted, duration, short } from "../base/format.js";
import { openDialog, setTitle } from "../base/frame.js";
import { batched, subscribe } from "../base/live.js";
import { redraw } from "../base/redraw.js";
import { plainTable, Table } from "../base/table.js";
import { runLink } from "../parts/links.js";
import { tiles } from "../parts/tiles.js";
import { reasonsList } from "../parts/waits.js";

const MAX_PIPS = 10;
const LONG = 3; // seconds after which waiting is worth a colour

export async function show(main, site) {
	setTitle("Live");
	new LivePage(main, site, await get("api/live")).start();
}

class LivePage {
	constructor(main, site, data) {
		Object.assign(this, { main, site, data });
		this.state = el("small", { class: "dim" });
		this.tiles = el("div");
		this.tree = el("section", { class: "card supervised", "aria-label": "Supervision tree" });
		this.runs = new Table(this.columns(), { label: "Open runs", class: "lines", key: (run) => run.run_id, empty: "No run is at work." });
		this.note = el("p", { class: "dim" });
		this.problem = el("div");
		this.update = batched(() => this.draw());
	}

	start() {
		put(
			this.main,
			el("div", { class: "head" }, el("h1", {}, "Live ", this.state), el("div", { class: "actions" }, button("Dump", () => this.dump()))),
			this.problem,
			this.tiles,
			el("div", { class: "cols" }, el("section", { class: "card", "aria-label": "Open runs" }, el("h2", {}, "Open runs"), this.runs.withChooser("live"), this.note), this.tree),
		);
		this.draw();
		subscribe("live/stream", null, {
			live: (data) => {
				this.data = data;
				this.update();
			},
			over: (problem) => put(this.state, `ended: ${problem.detail}`),
			error: (problem) => put(this.state, problem.detail),
		});
	}

	draw() {
		const data = this.data;
		const clock = new Date(data.now * 1000).toLocaleTimeString("en-GB");
		redraw(this.state, `${data.state} · ${clock}`, data.health.live ? null : el("span", { class: "bad" }, ` · not live: ${data.health.reasons[0]}`));
		const depth = data.actors.reduce((sum, actor) => sum + actor.depth, 0);
		const oldest = Math.max(0, ...data.actors.map((actor) => actor.oldest));
		const restarts = data.services.reduce((sum, service) => sum + service.restarts, 0);
		const places = data.places;
		redraw(
			this.tiles,
			tiles([
				// A run that waits for an answer or a moment is open and has no place.
				["Open runs", count(data.run_count)],
				...(places.limit === null ? [] : [["Places taken", `${count(places.inside)} of ${count(places.limit)}`]]),
				["Waiting for a place", count(places.waiting), places.waiting ? "wait" : ""],
				["Oldest run", data.oldest_run === null ? "–" : duration(data.oldest_run)],
				["Messages in inboxes", count(depth), depth ? "wait" : ""],
				["Oldest message", depth ? duration(oldest) : "–", oldest > LONG ? "bad" : ""],
				["Restarts", count(restarts), restarts ? "wait" : ""],
				["Dead letters", count(data.dead_letters), data.dead_letters ? "bad" : ""],
			]),
		);
		this.runs.show(data.runs);
		this.note.textContent = data.run_count > data.runs.length ? `The ${data.runs.length} quietest of ${count(data.run_count)} runs.` : "";
		this.drawTree();
	}

	columns() {
		return [
			{ key: "run_id", label: "Run", cell: (run) => runLink(run.run_id) },
			{ key: "pipe", label: "Pipe", class: "name" },
			{ key: "age", label: "Age", number: true, cell: (run) => duration(run.age) },
			{ key: "quiet", label: "Quiet", number: true, title: "Seconds since its last event", cell: (run) => el("span", { class: run.quiet > LONG ? "wait" : "dim" }, duration(run.quiet)) },
			{ key: "tokens", label: "Held by", fixed: true, class: "wrap held", cell: (run) => Object.entries(run.tokens).map(([step, n]) => el("span", { class: "tag", title: step }, n > 1 ? `${step} ×${n}` : step)) },
			this.site.actions.includes("cancel") && { key: "cancel", label: "", fixed: true, cell: (run) => button("Cancel", () => this.cancel(run), { "aria-label": `Cancel run ${short(run.run_id)}` }) },
			{ key: "why", label: "Why it waits", fixed: true, class: "why", cell: (run) => reasonsList(run, this.data) },
		].filter(Boolean);
	}

	async cancel(run) {
		await attempt(this.problem, `Run ${short(run.run_id)} was not cancelled`, () => post(`api/runs/${encodeURIComponent(run.run_id)}/cancel`, { reason: "Cancelled in the dashboard" }));
	}

	drawTree() {
		const data = this.data;
		const pipes = Map.groupBy(data.actors, (actor) => actor.pipe);
		redraw(
			this.tree,
			el("h2", {}, "Supervision tree"),
			el("h3", {}, "Services"),
			el("ul", { class: "treelist" }, data.services.length ? data.services.map(childOf) : el("li", { class: "dim" }, "none")),
			data.resources.length ? [el("h3", {}, "Resources"), el("ul", { class: "treelist" }, data.resources.map(childOf))] : null,
			[...pipes].map(([pipe, actors]) => this.actorsOf(pipe, actors)),
		);
	}

	actorsOf(pipe, actors) {
		const cell = (text, tone) => el("span", { class: tone }, text);
		return plainTable(
			pipe,
			["Step", "#Inbox", "#Busy", "#Oldest"],
			actors.map((actor) => [
				button(actor.step, () => this.openActor(actor), { class: "link" }),
				cell(count(actor.depth), actor.depth ? "wait" : "dim"),
				busyOf(actor),
				cell(actor.depth ? duration(actor.oldest) : "–", actor.oldest > LONG ? "bad" : "dim"),
			]),
			actors.map((actor) => actor.step),
		);
	}

	/** Show which runs are at work at an actor, and which wait for it. */
	openActor(actor) {
		const line = ([id, seconds]) => el("li", {}, runLink(id), ` for ${duration(seconds)}`);
		const slots = actor.slots === null ? "" : ` of ${counted(actor.slots, "slot")}`;
		openDialog(
			`${actor.pipe} / ${actor.step}`,
			el("h3", {}, `At work: ${count(actor.busy)}${slots}`),
			el("ul", {}, actor.holders.map(line)),
			el("h3", {}, `Waiting, in this order: ${count(actor.depth)}`),
			el("ol", {}, actor.queue.map(line)),
		);
	}

	async dump() {
		await attempt(this.problem, "The dump was not made", async () => {
			const text = await getText("api/live/dump");
			openDialog("Dump", el("p", {}, button("Copy", () => navigator.clipboard.writeText(text))), el("pre", { class: "scroll tall", tabindex: "0" }, text));
		});
	}
}

/** Show which slots of an actor are taken: a pip for each, if they are few. */
function busyOf({ busy, slots }) {
	const pips = slots && slots <= MAX_PIPS ? el("span", { class: "pips", "aria-hidden": "true" }, "●".repeat(busy) + "○".repeat(Math.max(0, slots - busy)), " ") : null;
	return el("span", { class: busy ? "run" : "dim" }, pips, slots ? `${busy} of ${slots}` : count(busy));
}

/** Show a service or a resource. */
function childOf({ name, state, restarts, last_error: error }) {
	const isWell = ["running", "open"].includes(state);
	return el(
		"li",
		{ "data-key": name },
		el("span", { class: isWell ? "ok" : "wait" }, icon(isWell ? "success" : "stuck")),
		` ${name} `,
		dim(state, restarts ? `, ${counted(restarts, "restart")}` : ""),
		error ? el("div", { class: "bad mono" }, error) : null,
	);
}
