// Durable runs: their workers, which of them wait, and which are stuck.
import { button, el, put } from "../base/dom.js";
import { address, get, post } from "../base/api.js";
import { age, count, duration, moment } from "../base/format.js";
import { setTitle } from "../base/frame.js";
import { subscribe } from "../base/live.js";
import { redraw } from "../base/redraw.js";
import { Table } from "../base/table.js";
import { runLink } from "../parts/links.js";
import { tiles } from "../parts/tiles.js";
import { statusBadge } from "../parts/status.js";

export async function show(main, site) {
	setTitle("Workers");
	const facts = el("div");
	const problem = el("p", { class: "problem", role: "alert" });
	const where = el("small", { class: "dim" });
	const workers = new Table(
		[
			{ key: "name", label: "Worker", class: "wrap" },
			{ key: "silent", label: "Last sign of life", number: true, cell: (one) => el("span", { class: one.is_late ? "bad" : "ok" }, `${duration(one.silent)} ago`) },
			{ key: "runs", label: "Runs", number: true },
		],
		{ label: "Workers", key: (one) => one.name, walks: false, empty: "No worker is there: the runs wait." },
	);
	const runs = new Table(
		[
			{ key: "status", label: "Status", cell: (run) => statusBadge(run.status) },
			{ key: "run_id", label: "Run", cell: (run) => runLink(run.run_id) },
			{ key: "pipe", label: "Pipe", class: "name" },
			{ key: "created_at", label: "Submitted", cell: (run) => el("span", { title: run.created_at }, age(run.created_at)) },
			{ key: "incarnation", label: "Taken up", number: true, title: "How often a worker has taken it up" },
			{ key: "worker", label: "Worker", class: "optional", cell: (run) => run.worker || "–" },
			{ key: "problem", label: "Waits for", class: "wide", cell: (run) => waitsFor(run) },
			{ key: "redrive", label: "", fixed: true, cell: (run) => (run.status === "stuck" && site.actions.includes("redrive") ? button("Redrive", () => redrive(run)) : "") },
		],
		{ label: "Open runs", key: (run) => run.run_id, empty: "No durable run is open." },
	);

	async function redrive(run) {
		try {
			await post(`api/runs/${encodeURIComponent(run.run_id)}/redrive`, {});
			put(problem);
		} catch (error) {
			put(problem, error.message);
		}
	}

	function draw(data) {
		redraw(where, data.location);
		const of = (status) => data.counts[status] || 0;
		redraw(
			facts,
			tiles([
				["Workers", count(data.workers.length)],
				["At work", count(of("running"))],
				["Ready", count(of("ready")), of("ready") ? "wait" : ""],
				["Waiting", count(of("waiting"))],
				["Stuck", count(of("stuck")), of("stuck") ? "bad" : ""],
			]),
		);
		workers.show(data.workers);
		runs.show(data.runs);
	}

	put(main, el("div", { class: "head" }, el("h1", {}, "Workers ", where)), facts, problem, el("section", { class: "card", "aria-label": "Workers" }, el("h2", {}, "Workers"), workers.node), el("section", { class: "card", "aria-label": "Open runs" }, el("h2", {}, "Open runs"), runs.withChooser("durable")));
	draw(await get("api/workers"));
	subscribe("workers/stream", null, { workers: draw });
}

function waitsFor(run) {
	if (run.problem) return el("span", { class: "bad", title: run.problem }, run.problem);
	const parts = [];
	if (run.asks.length) parts.push(el("a", { href: address("asks") }, run.asks.length === 1 ? "an answer" : `${run.asks.length} answers`));
	if (run.wake_at) parts.push(el("span", {}, `${parts.length ? ", until " : "until "}${moment(run.wake_at)}`));
	return parts.length ? el("span", {}, parts) : "";
}
