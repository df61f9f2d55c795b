// Two runs side by side: a verdict, the first decision that differs, and every step.
import { bar, button, dim, el, put, remark } from "../base/dom.js";
import { address, get } from "../base/api.js";
import { difference, duration, moment, quantile } from "../base/format.js";
import { setTitle } from "../base/frame.js";
import { Table } from "../base/table.js";
import { delayed } from "../base/live.js";
import { changeText, compareSteps, diffOf, firstDivergence, greatest } from "../parts/compare.js";
import { runLink } from "../parts/links.js";
import { RunModel } from "../parts/model.js";
import { statusBadge } from "../parts/status.js";
import { diffList } from "../parts/tree.js";
import { compareVersions } from "../parts/versions.js";

const NOTICEABLE = 0.001;

export async function show(main, site) {
	setTitle("Compare");
	const query = new URL(location.href).searchParams;
	const ids = [query.get("a") || query.get("run1") || "", query.get("b") || query.get("run2") || ""];
	const result = el("div");
	put(main, el("h1", {}, "Compare two runs"), chooser(ids), result);
	if (ids[0] && ids[1]) await compare(result, ids, site);
}

function chooser(ids) {
	const fields = ids.map((id, index) => field(id, index));
	const swap = button("Swap", () => go(fields[1].input.value, fields[0].input.value));
	const go = (a, b) => location.assign(address("compare", { a: a.trim(), b: b.trim() }));
	return el(
		"form",
		{
			class: "head chooser",
			onsubmit: (event) => {
				event.preventDefault();
				go(fields[0].input.value, fields[1].input.value);
			},
		},
		fields.map((one) => one.node),
		el("button", { type: "submit", class: "primary" }, "Compare"),
		ids[0] && ids[1] ? swap : null,
	);
}

function field(id, index) {
	const list = el("datalist", { id: `runs-${index}` });
	const input = el("input", { type: "search", class: "mono", list: `runs-${index}`, value: id, "aria-label": index ? "Second run" : "First run", placeholder: index ? "Second run" : "First run", "data-filter": index === 0 });
	const search = async () => {
		const text = input.value.trim();
		if (text.length < 3) return;
		const runs = await get("api/runs/search", { q: text }).catch(() => []);
		if (input.value.trim() !== text) return; // something else was typed meanwhile
		put(list, runs.map((run) => el("option", { value: run.run_id }, `${run.pipeline_name}, ${run.status}, ${moment(run.start_time)}`)));
	};
	input.addEventListener("input", delayed(search));
	return { input, node: el("span", { class: "field" }, input, list) };
}

async function compare(place, ids, site) {
	const [one, two] = await Promise.all(ids.map((id) => get(`api/runs/${encodeURIComponent(id)}`)));
	const [a, b] = await Promise.all([one, two].map(async (run) => new RunModel(await get(`api/runs/${run.run_id}/spans`, { limit: 50000 }))));
	const rows = compareSteps(a, b);
	const first = firstDivergence(rows, a, b);
	const table = new Table(columns(rows), { label: "Steps of both runs", key: (row) => row.step, walks: false, empty: "Neither run has steps." });
	const states = el("section", { class: "card" }, el("h2", {}, "What the states at the end differ in"), remark("Reading …"));
	put(
		place,
		el("p", { class: "verdict" }, verdict(one, two, rows)),
		first ? el("section", { class: "card failure handled" }, el("h2", {}, "They first differ here"), el("p", {}, changeText(first))) : remark("Both took the same steps, as often, with the same outcome."),
		el("div", { class: "halves" }, headOf("First", one), headOf("Second", two)),
		el("section", { class: "card" }, table.withChooser("compare")),
		site.has_payloads ? states : null,
	);
	table.show(rows);
	if (one.fingerprint && two.fingerprint && one.fingerprint !== two.fingerprint) {
		const list = await compareVersions(...[one, two].map((run) => ({ hash: run.pipeline_hash, fingerprint: run.fingerprint })));
		states.before(el("section", { class: "card", "aria-label": "Versions" }, el("h2", {}, "What the versions differ in"), list));
	}
	if (site.has_payloads) await compareStates(states, one, two);
}

function verdict(one, two, rows) {
	const [x, y] = [one.duration_seconds, two.duration_seconds];
	const parts = [];
	if (one.status !== two.status) parts.push(`The first is ${one.status}, the second ${two.status}.`);
	if (x !== null && y !== null) {
		const by = y - x;
		const most = greatest(rows);
		const where = most && Math.abs(most.difference) > NOTICEABLE ? `; most of the difference is in ${most.step} (${difference(most.difference)})` : "";
		parts.push(Math.abs(by) < NOTICEABLE ? "They took equally long." : `The second is ${duration(Math.abs(by))} ${by > 0 ? "slower" : "faster"}${where}.`);
	}
	if (one.pipeline_name !== two.pipeline_name) parts.push("They are runs of different pipelines.");
	else if (one.fingerprint !== two.fingerprint) parts.push("They are runs of different versions of the pipeline.");
	return parts.join(" ");
}

function headOf(name, run) {
	return el(
		"section",
		{ class: "card" },
		el("h2", {}, `${name}: `, runLink(run.run_id)),
		el("p", {}, statusBadge(run.status), ` ${run.pipeline_name} · ${moment(run.start_time)} · ${duration(run.duration_seconds)}`),
		run.error_message ? el("p", { class: "error mono bad" }, run.error_step ? `${run.error_step}: ${run.error_message}` : run.error_message) : null,
	);
}

function columns(rows) {
	const most = Math.max(...rows.map((row) => Math.abs(row.difference)), NOTICEABLE);
	const words = { new: "new", removed: "removed", count: "other count", outcome: "other outcome" };
	return [
		{ key: "step", label: "Step", class: "name", cell: (row) => el("span", { title: row.step }, row.step) },
		{ key: "a", label: "First", number: true, class: "optional", value: (row) => (row.a ? row.a.total : 0), cell: (row) => figures(row.a) },
		{ key: "b", label: "Second", number: true, class: "optional", value: (row) => (row.b ? row.b.total : 0), cell: (row) => figures(row.b) },
		{
			key: "difference",
			label: "Difference",
			number: true,
			cell: (row) => (Math.abs(row.difference) < NOTICEABLE ? dim("–") : el("span", { class: row.difference > 0 ? "bad" : "ok" }, difference(row.difference))),
		},
		{
			key: "bar",
			label: "Faster · slower",
			fixed: true,
			class: "share optional",
			cell: (row) => {
				if (Math.abs(row.difference) < NOTICEABLE) return "";
				const share = (50 * Math.abs(row.difference)) / most;
				const node = bar(row.difference > 0 ? "bad" : "ok", `${share}%`);
				node.style.marginLeft = row.difference > 0 ? "50%" : `${50 - share}%`;
				return el("span", { class: "track wide" }, node);
			},
		},
		{ key: "change", label: "What changed", cell: (row) => (row.change ? el("span", { class: "tag", title: changeText(row) }, words[row.change]) : "") },
	];
}

/** Write the time of a step; of one that ran often, how its runs are distributed. */
function figures(step) {
	if (step === null) return "–";
	if (step.runs === 1) return duration(step.total);
	const spread = [0, 0.5, 1].map((share) => duration(quantile(step.times, share)));
	return el("span", { title: `least ${spread[0]}, median ${spread[1]}, most ${spread[2]}` }, `${duration(step.total)} `, dim(`${step.runs} × ${spread.join(" / ")}`));
}

async function compareStates(place, one, two) {
	try {
		const [x, y] = await Promise.all([one, two].map((run) => get(`api/runs/${run.run_id}/states`, { at: Number.MAX_SAFE_INTEGER })));
		put(place, el("h2", {}, "What the states at the end differ in"), diffList(diffOf(x.state, y.state)));
	} catch (error) {
		put(place, el("h2", {}, "What the states at the end differ in"), remark(error.message));
	}
}
