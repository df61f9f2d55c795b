// All pipelines: how their last runs went, and how long they take.
import { dim, el, put, remark } from "../base/dom.js";
import { address, get } from "../base/api.js";
import { age, count, duration } from "../base/format.js";
import { setTitle } from "../base/frame.js";
import { Table } from "../base/table.js";
import { strip } from "../parts/charts.js";
import { statusBadge } from "../parts/status.js";

export async function show(main, site) {
	setTitle("Pipelines");
	const pipelines = await get("api/pipelines/table");
	const filter = el("input", {
		type: "search",
		"data-filter": true,
		"aria-label": "Filter by name",
		placeholder: "Name or hash",
		value: new URL(location.href).searchParams.get("q") || "",
		oninput: () => draw(),
	});
	const table = new Table(columns(), {
		label: "Pipelines",
		key: (one) => one.hash,
		empty: "No pipeline matches.",
	});

	function draw() {
		const text = filter.value.trim().toLowerCase();
		const url = new URL(location.href);
		if (text) url.searchParams.set("q", filter.value.trim());
		else url.searchParams.delete("q");
		history.replaceState(null, "", url);
		table.show(pipelines.filter((one) => one.name.toLowerCase().includes(text) || one.hash.startsWith(text)));
	}

	put(
		main,
		el("div", { class: "head" }, el("h1", {}, "Pipelines"), filter),
		pipelines.length ? table.withChooser("pipelines") : remark(`No pipeline has stored runs in ${site.storage}.`),
	);
	pipelines.sort((a, b) => (b.last_run_time || "").localeCompare(a.last_run_time || ""));
	draw();
}

function columns() {
	return [
		{ key: "name", label: "Pipeline", class: "name", cell: (one) => el("a", { href: address(`pipelines/${one.hash}`), title: one.name }, one.name) },
		{ key: "strip", label: "Last runs", fixed: true, class: "optional", cell: (one) => strip(one.strip, (id) => address(`runs/${id}`)) },
		{ key: "last_run_time", label: "Last run", class: "last", cell: (one) => (one.last_run_time ? [statusBadge(one.last_run_status), " ", dim(age(one.last_run_time))] : "-") },
		{ key: "total_runs", label: "Runs", number: true, class: "optional", cell: (one) => count(one.total_runs) },
		{ key: "success_rate", label: "Success", number: true, cell: (one) => rate(one.success_rate) },
		{ key: "p50", label: "p50", number: true, class: "optional", cell: (one) => duration(one.p50) },
		{ key: "p95", label: "p95", number: true, cell: (one) => duration(one.p95) },
		{ key: "hash", label: "Hash", class: "optional", cell: (one) => el("span", { class: "mono" }, one.hash) },
	];
}

function rate(value) {
	if (value === null) return "-";
	return el("span", { class: value >= 90 ? "ok" : value >= 70 ? "wait" : "bad" }, `${value.toFixed(1)}%`);
}
