// One run: why it failed, its graph and steps, its time, events, text, states and figures.
import { attempt, problem } from "../base/attempt.js";
import { bar, button, dim, el, icon, put, remark } from "../base/dom.js";
import { address, get, post } from "../base/api.js";
import { count, duration, quantile, short } from "../base/format.js";
import { announce, setTitle } from "../base/frame.js";
import { batched, subscribe } from "../base/live.js";
import { redraw } from "../base/redraw.js";
import { Table } from "../base/table.js";
import { tabs } from "../base/tabs.js";
import { failureCard } from "../parts/failure.js";
import { Graph } from "../parts/graph.js";
import { timeOf } from "../parts/links.js";
import { RunModel } from "../parts/model.js";
import { Replay } from "../parts/replay.js";
import { statusBadge, statusWord, tagList } from "../parts/status.js";
import { Timeline } from "../parts/timeline.js";
import { reasonsList } from "../parts/waits.js";

const MAX_IN_ORDER = 40;
const MAX_NODES = 400; // larger graphs are drawn on request

export async function show(main, site) {
	const id = decodeURIComponent(location.pathname.split("/").filter(Boolean).at(-1));
	const path = `api/runs/${encodeURIComponent(id)}`;
	const [run, spans] = await Promise.all([get(path), get(`${path}/spans`, { limit: 50000 })]);
	const model = new RunModel(spans);
	model.joins = run.joins;
	new RunPage(main, site, run, model).start();
}

class RunPage {
	constructor(main, site, run, model) {
		Object.assign(this, { main, site, run, model });
		this.path = `api/runs/${encodeURIComponent(run.run_id)}`;
		this.step = null;
		this.moment = null;
		this.waits = () => []; // builds why it waits, when there is a supervisor
		this.heard = []; // tokens of a run that is not stored
		this.head = el("div", { class: "run-head" });
		this.failure = el("div");
		this.hold = el("div");
		this.problem = el("div"); // what failed on this page
		this.timeline = new Timeline(model, (step) => this.pick(step));
		this.graph = new Graph(run.pipeline_hash, run.fingerprint, (step) => this.pick(step));
		this.replay = new Replay(model, (t) => this.at(t));
		this.steps = new Table(this.columns(), { label: "Steps", key: (row) => row.step, isSelected: (row) => row.step === this.step, walks: false, empty: "No step has begun." });
		this.tokens = null;
		// Of many steps the ones that take long come first; of a few, the ones that began first.
		if (model.steps().length > MAX_IN_ORDER) this.steps.sortBy(this.steps.columns.find((one) => one.key === "total"));
		this.update = batched(() => this.draw());
	}

	start() {
		setTitle(`${short(this.run.run_id)} ${this.run.pipeline_name}`);
		this.tabs = tabs(this.tabList(), "Run", null);
		put(
			this.main,
			this.head,
			this.problem,
			this.failure,
			this.hold,
			el(
				"div",
				{ class: "split" },
				el("section", { class: "card graph-card", "aria-label": "Graph" }, this.graph.pane, this.replay.node),
				el("section", { class: "card", "aria-label": "Steps" }, this.steps.withChooser("steps")),
			),
			this.tabs.node,
		);
		this.drawHead();
		this.drawFailure();
		this.tabs.begin();
		this.draw();
		this.loadGraph();
		if (this.run.event_counts.recovered) this.loadRecoveries();
		if (this.run.is_live) this.follow();
		else if (this.run.status === "abandoned") this.awaitRecovery();
	}

	/** A durable run goes on when another process takes it up; then the page begins anew. */
	awaitRecovery() {
		const look = (page) => page.runs.some((run) => run.status !== "abandoned") && location.reload();
		subscribe(`runs/stream?q=id:${encodeURIComponent(this.run.run_id)}`, null, { runs: look });
	}

	/** Mark when other processes took the run up. */
	async loadRecoveries() {
		await attempt(this.problem, "The times of the recoveries were not read", async () => {
			const page = await get(`${this.path}/events`, { type: "recovered", step: "system", limit: 500, payload: "none" });
			this.model.recoveries = page.events.map((event) => event.at - this.model.t0);
			this.timeline.update();
		});
	}

	// -- live

	follow() {
		if (this.site.has_supervisor) this.watchWaits();
		this.heardAt = Date.now();
		this.stop = subscribe(`runs/${this.run.run_id}/stream`, this.model.next, {
			joined: (after) => after > this.model.next && this.catchUp(),
			events: (rows) => this.hear(rows),
			end: (run) => this.end(run),
			error: (problem) => put(this.problem, el("p", { class: "problem", role: "alert" }, problem.detail)),
		});
		this.clock = setInterval(() => {
			this.model.latest = Math.max(this.model.latest, Date.now() / 1000 - this.model.t0);
			this.update();
			this.drawHold();
		}, 1000);
	}

	async hear(rows) {
		this.heardAt = Date.now();
		if (!this.model.hear(rows)) await this.catchUp();
		for (const row of rows) {
			this.run.event_counts[row[1]] = (this.run.event_counts[row[1]] || 0) + 1;
			if (row[1] === "step_error") announce(`Step ${row[2]} failed`);
		}
		if (this.tokens) this.tokens.hear(rows);
		if (!this.run.is_stored) this.heard = [...this.heard, ...rows.filter((row) => row[1] === "token")].slice(-2000);
		this.update();
	}

	/** Ask for what was missed between. */
	async catchUp() {
		await attempt(this.problem, "New steps were not read", async () => {
			this.model.merge(await get(`${this.path}/spans`, { after: this.model.next, limit: 50000 }));
			this.update();
		});
	}

	async end(run) {
		clearInterval(this.clock);
		this.run = run || endedRun(this.run, this.model.finish);
		const read = async () => {
			if (run) this.model.merge(await get(`${this.path}/spans`, { limit: 50000 }));
			this.drawEnd();
		};
		const isRead = await attempt(this.problem, "The last steps were not read", read);
		if (!isRead) this.drawEnd();
		if (this.run.status === "abandoned") this.awaitRecovery();
	}

	drawEnd() {
		this.model.isOver = true;
		this.model.latest = Math.max(0, ...this.model.spans.map((span) => span.end ?? span.start));
		announce(`The run ended: ${statusWord(this.run.status)}`);
		put(this.hold);
		this.drawHead();
		this.drawFailure();
		this.draw();
	}

	/** Hear from the supervisor at which line the run stands, and which runs hold its slots. */
	watchWaits() {
		const note = (data) => {
			const run = data.runs.find((one) => one.run_id === this.run.run_id);
			this.waits = () => (run ? [reasonsList(run, data)].flat() : []);
		};
		subscribe("live/stream", null, { live: note });
	}

	/** Say what a run waits for when nothing has happened for a while. */
	drawHold() {
		const quiet = (Date.now() - this.heardAt) / 1000;
		const open = this.model.spans.filter((span) => span.end === null);
		const waits = this.waits();
		if (quiet < 3 || (open.length === 0 && waits.length === 0)) {
			put(this.hold);
			return;
		}
		const now = this.model.latest;
		const longest = open.sort((a, b) => a.start - b.start).slice(0, 5);
		redraw(
			this.hold,
			el(
				"section",
				{ class: "card hold", "aria-label": "What it waits for" },
				el("b", {}, `Nothing has happened for ${duration(quiet)}. `),
				"At work: ",
				longest.map((span, index) => [index ? ", " : "", button(span.label, () => this.pick(span.step), { class: "link" }), ` for ${duration(now - span.start)}`]).flat(),
				open.length > longest.length ? ` and ${open.length - longest.length} more` : null,
				waits.length ? el("div", {}, waits) : null,
			),
		);
	}

	// -- drawing

	draw() {
		this.timeline.update();
		this.graph.show(this.model.statusAt(this.moment ?? Infinity), !this.run.is_live && this.moment === null);
		this.total = Math.max(0.001, ...this.model.steps().map((step) => step.total));
		this.steps.show(this.model.steps());
		this.replay.write();
	}

	drawHead() {
		const run = this.run;
		const meta = run.run_meta && typeof run.run_meta === "object" ? run.run_meta : null;
		const took = run.is_live ? "running" : run.duration_seconds !== null ? `took ${duration(run.duration_seconds)}` : "";
		put(
			this.head,
			el(
				"div",
				{ class: "head" },
				el("h1", {}, statusBadge(run.status), " ", el("a", { href: address(`pipelines/${run.pipeline_hash}`) }, run.pipeline_name)),
				button([short(run.run_id), icon("copy")], () => navigator.clipboard.writeText(run.run_id), { class: "quiet mono", title: run.run_id, "aria-label": `Copy the id ${run.run_id}` }),
				dim(timeOf(run.start_time), took ? ` · ${took}` : "", this.model.lost ? ` · ${count(this.model.lost)} events are not kept any more` : "", run.lost_events ? ` · ${count(run.lost_events)} events could not be stored` : ""),
				el("div", { class: "actions" }, this.actions()),
			),
			run.tags.length || meta
				? el("div", { class: "tags" }, tagList(run.tags, 12))
				: null,
		);
	}

	actions() {
		const run = this.run;
		const can = (name) => this.site.actions.includes(name);
		if (!run.is_stored) return [dim("not stored"), run.is_live && can("cancel") ? this.cancelButton() : null];
		return [
			button("Compare with previous", () => this.comparePrevious()),
			this.site.has_payloads ? button("Export JSON", () => this.exportJson()) : null,
			el("a", { class: "button", href: address(`${this.path}/trace`), download: `trace-${short(run.run_id)}.json` }, "Trace"),
			run.is_live && can("cancel") ? this.cancelButton() : null,
		];
	}

	cancelButton() {
		return button("Cancel", () => this.cancel(), { class: "danger" });
	}

	async comparePrevious() {
		await attempt(this.problem, "The previous run was not found", async () => {
			const page = await get("api/runs", { pipeline: this.run.pipeline_hash, status: "success", until: this.run.start_time, limit: 1 });
			const before = page.runs[0];
			location.assign(address("compare", before ? { a: before.run_id, b: this.run.run_id } : { b: this.run.run_id }));
		});
	}

	async exportJson() {
		await attempt(this.problem, "The run was not exported", async () => this.save(await get(`${this.path}/events`)));
	}

	save(events) {
		const blob = new Blob([JSON.stringify({ run: this.run, events }, null, 1)], { type: "application/json" });
		const link = el("a", { href: URL.createObjectURL(blob), download: `run-${this.run.run_id.slice(0, 12)}.json` });
		link.click();
		URL.revokeObjectURL(link.href);
	}

	async cancel() {
		await attempt(this.problem, "The run was not cancelled", () => post(`${this.path}/cancel`, { reason: "Cancelled in the dashboard" }));
	}

	drawFailure() {
		const show = (failure) => {
			this.tabs.open("timeline");
			this.pick(failure.step);
			this.timeline.find(failure.invocation_id);
			this.timeline.node.scrollIntoView({ block: "nearest" });
		};
		const readState = this.site.has_payloads && ((seq) => get(`${this.path}/states`, { at: seq }));
		put(this.failure, failureCard(this.run, this.model, show, readState));
	}

	async loadGraph() {
		const nodes = new Set(this.model.spans.map((span) => span.step)).size;
		const draw = async () => {
			try {
				await this.graph.load();
				this.draw();
				this.graph.pick(this.step);
				if (this.run.failures.length) this.graph.reveal(this.run.failures[0].step);
			} catch (error) {
				put(this.graph.pane, el("p", { class: "pad" }, problem(error.message, draw)));
			}
		};
		if (nodes > MAX_NODES) put(this.graph.pane, el("p", { class: "pad" }, `This graph has more than ${MAX_NODES} steps. `, button("Draw it anyway", draw)));
		else await draw();
	}

	/** Choose a step: graph, table and timeline show the same one. */
	pick(step) {
		this.step = step;
		this.graph.pick(step);
		if (step !== null) this.graph.reveal(step);
		this.timeline.pick(step);
		this.steps.draw();
	}

	at(t) {
		this.moment = t;
		if (this.states) this.states(this.model.sequenceAt(t ?? Infinity));
		this.graph.show(this.model.statusAt(t ?? Infinity), !this.run.is_live && t === null);
		this.timeline.at(t);
	}

	columns() {
		const share = (row) => el("span", { class: "track wide" }, bar(row.failed ? "bad" : "run", `${Math.max(1, (100 * row.total) / this.total)}%`));
		const runs = (row) => {
			const parts = [row.failed ? `${row.failed} failed` : "", row.running ? `${row.running} running` : ""].filter(Boolean);
			const all = row.failed + row.running;
			return (all === row.runs ? parts : [String(row.runs), ...parts]).join(", ");
		};
		return [
			{
				key: "step",
				label: "Step",
				class: "name",
				cell: (row) => button([row.failed ? icon("failed") : null, row.step], () => this.pick(row.step === this.step ? null : row.step), { class: `link ${row.failed ? "bad" : ""}`, title: row.step }),
			},
			{ key: "runs", label: "Runs", number: true, cell: runs },
			{ key: "attempts", label: "Tries", number: true, class: "optional" },
			{ key: "p50", label: "p50", number: true, class: "optional", value: (row) => quantile(row.times, 0.5), cell: (row) => duration(quantile(row.times, 0.5)) },
			{ key: "max", label: "Max", number: true, class: "optional", value: (row) => row.times.at(-1), cell: (row) => duration(row.times.at(-1)) },
			{ key: "total", label: "Total", number: true, cell: (row) => duration(row.total) },
			{ key: "share", label: "Share", fixed: true, class: "share optional", cell: share },
		];
	}

	tabList() {
		const events = Object.values(this.run.event_counts).reduce((sum, n) => sum + n, 0);
		const all = this.allTabs(events);
		if (!this.site.has_payloads) all.splice(all.findIndex((tab) => tab.name === "logs"), 1);
		return this.run.is_stored ? all : all.filter((tab) => ["timeline", "tokens", "logs"].includes(tab.name));
	}

	allTabs(events) {
		return [
			{
				name: "timeline",
				label: "Timeline",
				show: (place) => {
					put(place, this.timeline.node);
					this.timeline.draw();
				},
				again: () => this.timeline.draw(),
			},
			{
				name: "events",
				label: `Events ${count(events)}`,
				show: async (place) => {
					const { Events } = await import("../parts/events.js");
					const list = new Events(this.run, this.model);
					put(place, list.node);
					return list.load();
				},
			},
			{
				name: "tokens",
				label: "Tokens",
				show: async (place) => {
					const { Tokens } = await import("../parts/tokens.js");
					this.tokens = new Tokens(this.run);
					put(place, this.tokens.node);
					if (this.run.is_stored) return this.tokens.load();
					this.tokens.early = null; // nothing is stored
					this.tokens.hear(this.heard);
				},
			},
			{ name: "state", label: "State", show: async (place) => (this.states = await (await import("../parts/state.js")).showStates(place, this.run, this.model)) },
			{
				name: "logs",
				label: "Logs",
				show: async (place) => {
					const { Logs } = await import("../parts/logs.js");
					const logs = new Logs(this.run, this.model);
					put(place, logs.node);
					return logs.load();
				},
			},
			{ name: "metrics", label: "Metrics", show: async (place) => (await import("../parts/metrics.js")).showMetrics(place, this.run) },
			{ name: "definition", label: "Definition", show: async (place) => (await import("../parts/metrics.js")).showDefinition(place, this.run.pipeline_hash, this.run.fingerprint) },
			{ name: "meta", label: "Metadata", show: (place) => showMeta(place, this.run) },
		];
	}
}

/** Return how a run ended that was not stored, from what its last event said. */
function endedRun(run, finish) {
	const ended = { ...run, is_live: false };
	if (finish === null || typeof finish !== "object") return ended;
	const { status, duration_s, error, failed_step, diagnostics } = finish;
	return { ...ended, status, duration_seconds: duration_s, error_message: error, error_step: failed_step, diagnostics: diagnostics || [] };
}

async function showMeta(place, run) {
	const { jsonTree } = await import("../parts/tree.js");
	const facts = [
		["Run", run.run_id],
		["Pipeline", `${run.pipeline_name} (${run.pipeline_hash})`],
		["Version", run.fingerprint || "–"],
		["Process", run.owner || "–"],
		["Started", run.start_time],
		["Ended", run.end_time || "–"],
	];
	put(
		place,
		el("dl", { class: "facts" }, facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", { class: "mono" }, value)])),
		el("h3", {}, "Noted by the run"),
		run.run_meta === null ? remark("Nothing.") : jsonTree(run.run_meta, { open: 3 }),
	);
}

