// One pipeline: its runs, its days, its failures, its graph and its versions.
import { problem } from "../base/attempt.js";
import { button, el, put, remark } from "../base/dom.js";
import { address, get, post } from "../base/api.js";
import { count, counted, duration, short } from "../base/format.js";
import { openDialog, setTitle } from "../base/frame.js";
import { Table } from "../base/table.js";
import { tabs } from "../base/tabs.js";
import { runLink, timeOf } from "../parts/links.js";
import { statusBadge } from "../parts/status.js";
import { tiles } from "../parts/tiles.js";

const RANGES = [7, 14, 30, 90];
const HEAT_RUNS = 5; // the spans of the newest ones are read
const HEATS = [
	["status", "Status of the newest run"],
	["time", "Time", "share of the time"],
	["failures", "Failures", "share of failed invocations"],
	["retries", "Retries", "number of further attempts"],
	["calls", "Calls", "number of invocations"],
];

export async function show(main, site) {
	const hash = decodeURIComponent(location.pathname.split("/").filter(Boolean).at(-1));
	const path = `api/pipelines/${encodeURIComponent(hash)}`;
	const figures = await get(`${path}/figures`, { days: 30 });
	setTitle(figures.name);
	const list = tabs(
		[
			{ name: "runs", label: "Runs", show: (place) => showRuns(place, hash) },
			{ name: "stats", label: "Stats", show: (place) => showStats(place, path, figures) },
			{ name: "graph", label: "Graph", show: (place) => showGraph(place, hash) },
			{ name: "versions", label: "Versions", show: (place) => showVersions(place, figures) },
			{ name: "definition", label: "Definition", show: async (place) => (await import("../parts/metrics.js")).showDefinition(place, hash) },
		],
		"Pipeline",
		null,
	);
	put(
		main,
		el(
			"div",
			{ class: "head" },
			el("h1", {}, figures.name),
			el("span", { class: "mono dim" }, hash),
			el("div", { class: "actions" }, el("a", { class: "button", href: address("runs", { pipeline: hash }) }, "All its runs"), site.actions.includes("cleanup") ? button("Clean up", () => cleanup(path)) : null),
		),
		tiles([
			["Runs in 30 days", count(figures.total)],
			["Success", successRate(figures.counts)],
			["p50", duration(figures.p50)],
			["p95", duration(figures.p95)],
			["Failed", count(figures.counts.failed || 0), figures.counts.failed ? "bad" : ""],
		]),
		list.node,
	);
	list.begin();
}

function successRate(counts) {
	const undecided = ["running", "waiting", "stuck", "abandoned", "suspended"];
	const ended = Object.entries(counts).reduce((sum, [label, n]) => sum + (undecided.includes(label) ? 0 : n), 0);
	return ended ? `${((100 * (counts.success || 0)) / ended).toFixed(1)}%` : "-";
}

async function showRuns(place, hash) {
	const page = await get("api/runs", { pipeline: hash, limit: 50 });
	const table = new Table(
		[
			{ key: "status", label: "Status", cell: (run) => statusBadge(run.status) },
			{ key: "run_id", label: "Run", cell: (run) => runLink(run.run_id) },
			{ key: "start_time", label: "Started", cell: (run) => timeOf(run.start_time) },
			{ key: "duration_seconds", label: "Duration", number: true, cell: (run) => duration(run.duration_seconds) },
			{ key: "error_step", label: "What happened", class: "wide", cell: (run) => el("span", { title: run.error_message }, [run.error_step, run.error_message].filter(Boolean).join(": ")) },
		],
		{ label: "Runs", key: (run) => run.run_id, empty: "It has no runs." },
	);
	table.show(page.runs);
	put(place, table.withChooser("pipeline"), page.next ? el("p", {}, el("a", { href: address("runs", { pipeline: hash }) }, "Older runs")) : null);
}

async function showStats(place, path, first) {
	const { bars, scatter, stackedBars } = await import("../parts/charts.js");
	const content = el("div");
	const range = el("select", { "aria-label": "Range", onchange: () => choose(range.value) }, RANGES.map((days) => el("option", { value: days, selected: days === first.days }, `${days} days`)));

	async function choose(days) {
		const figures = await get(`${path}/figures`, { days }).catch((problem) => ({ problem }));
		if (days !== range.value) return; // another range was chosen meanwhile
		if (figures.problem) put(content, problem(figures.problem.message, () => choose(days)));
		else draw(figures);
	}

	function draw(figures) {
		const days = lastDays(figures.days);
		put(
			content,
			el("h3", {}, "Runs by day"),
			stackedBars(days.map((day) => figures.daily[day] || {}), { label: "Runs by day", height: 60, title: (index) => days[index] }),
			el("div", { class: "axis dim" }, el("span", {}, days[0]), el("span", {}, "today")),
			el(
				"div",
				{ class: "halves" },
				el("section", {}, el("h3", {}, "Durations"), figures.durations.length ? scatter(figures.durations, { ...figures, hrefOf: (id) => address(`runs/${id}`) }) : remark("No run has ended.")),
				el("section", {}, el("h3", {}, "Failures by step"), figures.failures_by_step.length ? bars(figures.failures_by_step, { format: count }) : remark("None."), el("h3", {}, "Failures by error"), figures.failures_by_error.length ? bars(figures.failures_by_error, { format: count }) : remark("None.")),
			),
		);
	}

	const flaky = el("section");
	put(place, el("div", { class: "bar-tools" }, range), content, flaky);
	draw(first);
	await showFlaky(flaky, path);
}

/** List the steps that failed or were tried again in some of the last runs, and succeeded all the same. */
async function showFlaky(place, path) {
	const { runs, steps } = await get(`${path}/flaky`);
	const linkTo = (key) => (row) => (row[key] ? runLink(row[key]) : "none");
	const table = new Table(
		[
			{ key: "step", label: "Step", class: "name", cell: (row) => el("span", { title: row.step }, row.step) },
			{ key: "runs", label: "Runs", number: true },
			{ key: "failed", label: "Failed", number: true, title: "Runs in which it failed" },
			{ key: "recovered", label: "Recovered", number: true, title: "Runs in which it succeeded after further tries" },
			{ key: "further_tries", label: "Further tries", number: true, class: "optional" },
			{ key: "last_troubled", label: "Last failed or tried again", cell: linkTo("last_troubled") },
			{ key: "last_clean", label: "Last succeeded at once", cell: linkTo("last_clean"), class: "optional" },
		],
		{ label: "Flaky steps", key: (row) => row.step, walks: false },
	);
	table.show(steps);
	put(place, el("h3", {}, `Flaky steps in the last ${counted(runs, "run")}`), steps.length ? table.node : remark("None."));
}

function lastDays(number) {
	const today = Date.now();
	return Array.from({ length: number }, (_, n) => new Date(today - (number - 1 - n) * 86400000).toISOString().slice(0, 10));
}

/** Show the graph as the newest runs left it: their statuses, or how much falls to each step. */
async function showGraph(place, hash) {
	const { Graph } = await import("../parts/graph.js");
	const { heatOf, RunModel } = await import("../parts/model.js");
	const graph = new Graph(hash, null, (step) => graph.pick(step));
	graph.pane.classList.add("tall");
	const note = el("p", { class: "dim" });
	const select = el("select", { "aria-label": "Colours", onchange: () => colour() }, HEATS.map(([name, label]) => el("option", { value: name }, label)));
	let runs = [];
	let models = null; // a colour that is chosen before they are read is shown then

	function colour() {
		if (models === null) return;
		const [name, , meaning] = HEATS.find(([one]) => one === select.value);
		graph.heat(name === "status" ? null : heatOf(models)[name], meaning);
		if (name === "status") graph.show(models[0].statusAt(), runs[0].status !== "running");
		put(note, name === "status" ? ["Coloured by its newest run, ", runLink(runs[0].run_id), "."] : `The darker a step, the larger its ${meaning} in the last ${counted(runs.length, "run")}.`);
	}

	put(place, el("div", { class: "bar-tools" }, select), graph.pane, note);
	await graph.load();
	({ runs } = await get("api/runs", { pipeline: hash, limit: HEAT_RUNS }));
	if (runs.length === 0) return;
	models = await Promise.all(runs.map(async (run) => new RunModel(await get(`api/runs/${run.run_id}/spans`, { limit: 50000 }))));
	colour();
}

/** List the versions that ran: other options of the same graph, and other graphs of the same name. */
async function showVersions(place, figures) {
	const { compareVersions } = await import("../parts/versions.js");
	const own = figures.versions.map((one) => ({ ...one, hash: figures.hash }));
	const pipelines = await get("api/pipelines/table");
	const others = pipelines
		.filter((one) => one.name === figures.name && one.hash !== figures.hash)
		.map((one) => ({ hash: one.hash, fingerprint: null, runs: one.total_runs, last: one.last_run_time }));
	const versions = [...own, ...others].sort((a, b) => (b.last || "").localeCompare(a.last || ""));
	const known = versions.filter((one) => one.fingerprint || one.hash !== figures.hash);
	const details = el("section", { "aria-live": "polite" });
	let wanted = null; // the version that was asked for last
	const nameOf = (one) => (one.fingerprint ? short(one.fingerprint) : `the graph ${short(one.hash)}`);
	const changes = (one) => {
		const before = known[known.indexOf(one) + 1];
		if (!known.includes(one) || !before) return "";
		const show = async () => {
			wanted = one;
			const list = await compareVersions(before, one);
			if (wanted === one) put(details, el("h3", {}, `What changed from ${nameOf(before)} to ${nameOf(one)}`), list);
		};
		return button("What changed", show, { class: "link" });
	};
	const table = new Table(
		[
			{ key: "fingerprint", label: "Version", cell: (one) => el("span", { class: "mono", title: one.fingerprint }, one.fingerprint ? short(one.fingerprint) : one.hash === figures.hash ? "not known" : "newest") },
			{ key: "hash", label: "Graph", cell: (one) => el("a", { class: "mono", href: address(`pipelines/${one.hash}`) }, one.hash) },
			{ key: "runs", label: "Runs", number: true },
			{ key: "first", label: "First run", cell: (one) => (one.first ? timeOf(one.first) : "") },
			{ key: "last", label: "Last run", cell: (one) => (one.last ? timeOf(one.last) : "") },
			{ key: "changes", label: "Against the one before", fixed: true, cell: changes },
		],
		{ label: "Versions", key: (one) => `${one.hash} ${one.fingerprint}`, walks: false, empty: "No run in these days." },
	);
	table.show(versions);
	put(place, table.node, details);
}

/** Delete old runs: what is deleted is exactly what was previewed. */
function cleanup(path) {
	const keep = el("input", { type: "number", min: "0", value: "10", id: "keep" });
	const days = el("input", { type: "number", min: "0", value: "30", id: "days" });
	const result = el("div", { "aria-live": "polite" });
	let previewed = [];

	async function preview() {
		const wanted = { keep: Number(keep.value), older_than_days: Number(days.value) };
		const answer = await post(`${path}/cleanup`, wanted);
		if (wanted.keep !== Number(keep.value) || wanted.older_than_days !== Number(days.value)) return; // other numbers were typed
		previewed = answer.run_ids;
		const word = el("input", { type: "text", "aria-label": "Type delete to confirm", placeholder: "delete", oninput: () => (confirm.disabled = word.value !== "delete") });
		const confirm = button(`Delete ${counted(previewed.length, "run")}`, remove, { class: "danger", disabled: true });
		put(result, el("p", {}, `${counted(previewed.length, "run")} would be deleted.`), previewed.length ? el("p", {}, "Type delete: ", word, " ", confirm) : null);
	}

	async function remove() {
		const answer = await post(`${path}/cleanup`, { run_ids: previewed });
		put(result, el("p", {}, `${counted(answer.deleted.length, "run")} deleted.`));
		setTimeout(() => location.reload(), 800);
	}

	const guarded = (action) => () => action().catch((error) => put(result, el("p", { class: "problem", role: "alert" }, error.message)));
	openDialog(
		"Clean up",
		el("p", {}, el("label", { for: "keep" }, "Keep the newest "), keep, " runs"),
		el("p", {}, el("label", { for: "days" }, "and all that are younger than "), days, " days"),
		el("p", {}, button("Preview", guarded(preview))),
		result,
	);
}
