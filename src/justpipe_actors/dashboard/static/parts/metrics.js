// Figures that the engine counted, and the definition of the pipeline.
import { el, put } from "../base/dom.js";
import { get } from "../base/api.js";
import { count, duration } from "../base/format.js";
import { plainTable } from "../base/table.js";
import { bars } from "./charts.js";
import { tiles } from "./tiles.js";
import { jsonTree } from "./tree.js";

export function showMetrics(place, run) {
	const metrics = run.metrics;
	if (!metrics) {
		put(place, el("p", { class: "dim pad" }, "There are no figures: the run has not finished."));
		return;
	}
	const facts = [
		["Invocations", count(metrics.tasks.started)],
		["At once, at most", count(metrics.tasks.peak_active)],
		["Tokens", count(metrics.tokens)],
		["Events waiting, at most", count(metrics.queue.max_depth)],
		["Map items", count(metrics.maps.workers_started)],
		["Suspends", count(metrics.suspends)],
	];
	put(
		place,
		tiles(facts),
		el("div", { class: "halves" }, timings(metrics.step_latency), el("section", {}, el("h3", {}, "Events"), bars(Object.entries(metrics.events).sort((a, b) => b[1] - a[1]), { tone: "run", format: count }))),
		joins(metrics.barriers),
	);
}

function timings(latency) {
	const rows = Object.entries(latency).sort((a, b) => b[1].total_s - a[1].total_s);
	return plainTable("Time of the steps that ended well", ["Step", "#Count", "#Mean", "#Least", "#Most"], rows.map(([name, one]) => [name, count(one.count), duration(one.total_s / one.count), duration(one.min_s), duration(one.max_s)]));
}

function joins(barriers) {
	const rows = Object.entries(barriers);
	if (rows.length === 0) return null;
	return plainTable("Joins", ["Join", "#Waits", "#Releases", "#Timeouts", "#Longest wait"], rows.map(([name, one]) => [name, count(one.waits), count(one.releases), count(one.timeouts), duration(one.max_wait_s)]));
}

/** Show what a pipeline was at a version, else at its latest run. */
export async function showDefinition(place, hash, fingerprint = null) {
	const definition = await get(`api/pipelines/${encodeURIComponent(hash)}/definition`, { fingerprint });
	const optionsOf = ({ kind, targets, ...options }) => Object.entries(options).map(([name, value]) => `${name.replaceAll("_", " ")} ${JSON.stringify(value)}`).join(", ");
	const nodes = Object.entries(definition.nodes || {});
	put(
		place,
		plainTable("Steps", ["Step", "Kind", "Leads to", "Options"], nodes.map(([name, node]) => [name, node.kind, (node.targets || []).join(", ") || "–", optionsOf(node)])),
		el("details", {}, el("summary", {}, "All that is stored of it"), jsonTree(definition, { open: 1 })),
	);
}
