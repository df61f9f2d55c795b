// Runs of all pipelines: one filter, chips, a histogram and a table; its state is its address.
import { attempt, problem } from "../base/attempt.js";
import { bar, button, chip, dim, el, put, remark } from "../base/dom.js";
import { address, get } from "../base/api.js";
import { count, counted, duration, firstLine, moment, quantile, short, zone } from "../base/format.js";
import { announce, isTyping, setTitle } from "../base/frame.js";
import { batched, delayed, subscribe } from "../base/live.js";
import { redraw } from "../base/redraw.js";
import { Table } from "../base/table.js";
import { stackedBars } from "../parts/charts.js";
import { runLink, timeOf } from "../parts/links.js";
import { LABELS, statusBadge, statusTone, statusWord, tagList } from "../parts/status.js";

const WINDOWS = [
	["1h", "1 h", 3600],
	["24h", "24 h", 86400],
	["7d", "7 d", 604800],
	["30d", "30 d", 2592000],
	["all", "all", null],
];
const KEPT = ["status", "q", "window", "pipeline", "since", "until"]; // in the address
const MINUTE = 60000;
const BINS = 80;

export async function show(main, site) {
	setTitle("Runs");
	await new RunsPage(main, site).start();
}

class RunsPage {
	constructor(main, site) {
		this.site = site;
		this.state = Object.fromEntries(KEPT.map((key) => [key, new URL(location.href).searchParams.get(key) || ""]));
		this.selected = new Set();
		this.pages = [];
		this.stop = null;
		this.table = new Table(this.columns(), {
			label: "Runs",
			class: "stacks",
			key: (run) => run.run_id,
			isSelected: (run) => this.selected.has(run.run_id),
			onselect: (id) => this.select(id),
			empty: "No run matches.",
		});
		this.columnsButton = this.table.chooser("runs");
		this.chips = el("div", { class: "chips", role: "group", "aria-label": "Status" });
		this.chart = el("div", { class: "histogram" });
		this.more = el("div", { class: "more" });
		this.problem = el("div");
		this.picked = el("div", { class: "picked", hidden: true });
		this.filter = el("input", {
			type: "search",
			"data-filter": true,
			"aria-label": "Filter",
			placeholder: "Error, step or metadata; pipe:name  -pipe:name  tag:key=value  id:3e74",
			value: this.state.q,
			spellcheck: "false",
			oninput: delayed(() => {
				this.state.q = this.filter.value.trim();
				this.again();
			}),
		});
		this.parts = [this.chart, this.chips, this.table.node, this.more, this.problem, this.picked];
		this.content = el("div", {}, this.parts);
		this.windows = el("div", { class: "segments", role: "group", "aria-label": "Window" });
		this.drawWindows();
		put(
			main,
			el("div", { class: "head" }, el("h1", {}, "Runs"), this.filter, this.windows),
			this.content,
		);
		addEventListener("keydown", (event) => {
			if (event.key === "c" && !isTyping(event) && !event.ctrlKey && !event.metaKey && this.selected.size === 2) this.compare();
		});
		this.tick = batched(() => this.table.draw());
	}

	// -- asking

	query() {
		const { q, pipeline, until } = this.state;
		const status = this.state.status ? this.state.status.split(",") : [];
		if (this.state.since) return { status, q, pipeline, since: this.state.since, until };
		const length = (WINDOWS.find(([name]) => name === this.state.window) || WINDOWS[4])[2];
		const since = length === null ? "" : new Date(Math.floor((Date.now() - length * 1000) / MINUTE) * MINUTE).toISOString();
		return { status, q, pipeline, since };
	}

	async start() {
		await this.load();
		setInterval(() => this.pages[0].runs.some((run) => run.status === "running") && this.tick(), 1000);
	}

	async load() {
		const query = (this.asked = this.query());
		if (this.stop) this.stop(); // news of the filter before would be shown as those of this one
		this.stop = null;
		put(this.problem);
		const page = await get("api/runs", query);
		if (query !== this.asked) return; // another filter was chosen meanwhile
		this.pages = [page];
		this.draw();
		this.stop = subscribe(`runs/stream${address("api/runs", query).search}`, null, { runs: (page) => this.hear(page) });
		this.drawHistogram();
	}

	async again() {
		const url = new URL(location.href);
		for (const key of KEPT) {
			if (this.state[key]) url.searchParams.set(key, this.state[key]);
			else url.searchParams.delete(key);
		}
		history.replaceState(null, "", url);
		const loaded = this.load();
		const query = this.asked;
		try {
			await loaded;
		} catch (error) {
			if (query !== this.asked) return; // what was asked for since then is shown, or will be
			this.pages = [{ runs: [], counts: this.pages[0].counts, next: null }];
			put(this.more);
			put(this.table.body, el("tr", {}, el("td", { colspan: this.table.shown.length }, problem(error.message, () => this.again()))));
		}
	}

	hear(page) {
		const before = new Map(this.pages[0].runs.map((run) => [run.run_id, run.status]));
		for (const run of page.runs) {
			const status = before.get(run.run_id);
			if (status && status !== run.status) announce(`Run ${short(run.run_id)} of ${run.pipeline_name}: ${statusWord(run.status)}`);
		}
		const isNew = page.runs.length && !before.has(page.runs[0].run_id);
		this.pages[0] = page;
		this.draw();
		if (isNew) this.drawHistogram();
	}

	async loadMore() {
		const query = this.asked;
		const last = this.pages.at(-1);
		await attempt(this.problem, "More runs were not read", async () => {
			const page = await get("api/runs", { ...query, before: last.next }).catch((error) => ({ error }));
			if (query !== this.asked) return;
			if (page.error) throw page.error;
			this.pages.push(page);
			this.draw();
		});
	}

	// -- drawing

	draw() {
		const seen = new Set();
		const runs = this.pages.flatMap((page) => page.runs).filter((run) => !seen.has(run.run_id) && seen.add(run.run_id));
		const counts = this.pages[0].counts;
		const total = Object.values(counts).reduce((sum, n) => sum + n, 0);
		if (total === 0 && !this.isFiltered()) {
			this.welcome();
			return;
		}
		if (!this.chips.isConnected) put(this.content, this.parts); // the first run is there
		this.slow = slowest(runs);
		redraw(this.chips, this.chipsOf(counts));
		this.table.show(runs);
		const next = this.pages.at(-1).next;
		redraw(
			this.more,
			dim(`${counted(runs.length, "run")} of ${count(this.countShown(counts))} · times in ${zone()}`),
			next ? button("Load more", () => this.loadMore()) : null,
			this.columnsButton,
		);
	}

	countShown(counts) {
		const wanted = this.query().status;
		return Object.entries(counts).reduce((sum, [label, n]) => sum + (wanted.length === 0 || wanted.includes(label) ? n : 0), 0);
	}

	isFiltered() {
		return KEPT.some((key) => this.state[key] && this.state[key] !== "all");
	}

	chipsOf(counts) {
		const chosen = new Set(this.query().status);
		const choose = (label) => {
			if (!chosen.delete(label)) chosen.add(label);
			this.state.status = [...chosen].join(",");
			this.again();
		};
		const labels = LABELS.filter((label) => counts[label] || chosen.has(label));
		const { pipeline, since, until } = this.state;
		return [
			...labels.map((label) => chip(statusWord(label), count(counts[label] || 0), chosen.has(label), () => choose(label), statusTone(label))),
			pipeline ? chip(`pipeline ${pipeline}`, "×", true, () => this.forget("pipeline")) : null,
			since ? chip(`${moment(since)} to ${moment(until)}`, "×", true, () => this.forget("since", "until")) : null,
		];
	}

	/** Leave a part of the filter out. */
	forget(...keys) {
		for (const key of keys) this.state[key] = "";
		this.drawWindows();
		this.again();
	}

	drawWindows() {
		const chosen = this.state.since ? "" : this.state.window || "all";
		const choose = (name) => {
			this.state.window = name;
			this.forget("since", "until");
		};
		redraw(this.windows, WINDOWS.map(([name, label]) => button(label, () => choose(name), { "aria-pressed": String(chosen === name) })));
	}

	async drawHistogram() {
		const query = this.asked;
		const data = await get("api/runs/histogram", { ...query, bins: BINS }).catch(() => null);
		if (query !== this.asked) return;
		if (this.chart.matches(":active")) {
			addEventListener("pointerup", () => this.drawHistogram(), { once: true }); // a time is being chosen in it
			return;
		}
		if (!data || this.pages[0].runs.length === 0) {
			put(this.chart);
			return;
		}
		const from = new Date(data.since).getTime();
		const width = (new Date(data.until) - from) / BINS;
		const at = (bin) => new Date(from + bin * width).toISOString();
		put(
			this.chart,
			stackedBars(data.bins, {
				label: "Runs by time of their start",
				title: (index) => moment(at(index)),
				onrange: (first, last) => {
					Object.assign(this.state, { since: at(first), until: at(last + 1) });
					this.drawWindows();
					this.again();
				},
			}),
			el("div", { class: "axis dim" }, el("span", {}, moment(data.since)), el("span", {}, "drag to choose a time"), el("span", {}, moment(data.until))),
		);
	}

	columns() {
		return [
			{ key: "status", label: "Status", cell: (run) => statusBadge(run.status) },
			{
				key: "run_id",
				label: "Run",
				cell: (run) => runLink(run.run_id),
			},
			{
				key: "pipeline_name",
				label: "Pipeline",
				class: "name",
				cell: (run) => el("a", { href: address(`pipelines/${run.pipeline_hash}`), title: run.pipeline_name }, run.pipeline_name),
			},
			{
				key: "start_time",
				label: "Started",
				cell: (run) => timeOf(run.start_time),
			},
			{ key: "duration_seconds", label: "Duration", number: true, value: secondsOf, cell: (run) => this.bar(run) },
			{
				key: "error_step",
				label: "What happened",
				class: "wide",
				cell: (run) => whatHappened(run),
			},
			{ key: "tags", label: "Tags", class: "optional", value: (run) => run.tags.join(), cell: (run) => tagList(run.tags, 2) },
			{ key: "owner", label: "Process", isHidden: true, cell: (run) => el("span", { class: "mono", title: run.owner }, ownerText(run.owner)) },
			{
				key: "pick",
				label: "Compare",
				fixed: true,
				class: "pick",
				cell: (run) =>
					el("input", {
						type: "checkbox",
						"aria-label": `Select run ${short(run.run_id)} to compare`,
						checked: this.selected.has(run.run_id),
						onchange: () => this.select(run.run_id),
					}),
			},
		];
	}

	bar(run) {
		const seconds = secondsOf(run);
		const share = Math.min(1, (seconds || 0) / (this.slow.get(run.pipeline_hash) || 1));
		const length = seconds === null ? null : bar(statusTone(run.status), `${Math.max(2, share * 56)}px`);
		return el("span", { class: "duration" }, el("span", { class: "track" }, length), el("span", {}, duration(seconds)));
	}

	select(id) {
		if (this.selected.has(id)) this.selected.delete(id);
		else this.selected.add(id);
		if (this.selected.size > 2) this.selected.delete([...this.selected][0]);
		this.table.draw();
		this.picked.hidden = this.selected.size === 0;
		redraw(
			this.picked,
			`${this.selected.size} of 2 selected `,
			button("Compare", () => this.compare(), { class: "primary", disabled: this.selected.size < 2 }),
		);
	}

	compare() {
		const order = this.pages.flatMap((page) => page.runs).map((run) => run.run_id);
		const [a, b] = [...this.selected].sort((x, y) => order.indexOf(y) - order.indexOf(x));
		location.assign(address("compare", { a, b }));
	}

	welcome() {
		put(
			this.content,
			el(
				"section",
				{ class: "card welcome" },
				el("h2", {}, "No run is stored yet"),
				el("p", {}, "A pipe stores its runs when it is told to:"),
				el("pre", {}, 'pipe = Pipe(State, name="report", persist=True)'),
				remark("Runs are looked for in ", el("code", {}, this.site.storage), "."),
			),
		);
	}
}

/** Write which process has or had a run: its machine and its number there. */
function ownerText(owner) {
	const parts = (owner || "").split("/");
	return parts.length < 3 ? owner || "" : `${parts[0]}, ${parts.at(-2)}`;
}

function secondsOf(run) {
	if (run.duration_seconds !== null) return run.duration_seconds;
	if (run.status === "running") return (Date.now() - new Date(run.start_time)) / 1000;
	return null;
}

function slowest(runs) {
	const found = new Map();
	for (const [hash, some] of Map.groupBy(runs, (run) => run.pipeline_hash)) {
		const seconds = some.map(secondsOf).filter((n) => n !== null).sort((a, b) => a - b);
		found.set(hash, quantile(seconds, 0.95));
	}
	return found;
}

function whatHappened(run) {
	const message = firstLine(run.error_message || "");
	if (!message && !run.error_step) return dim(run.status === "suspended" ? firstLine(run.reason || "") : "");
	return el(
		"span",
		{ title: run.error_message || "" },
		run.error_step ? el("b", {}, run.error_step) : null,
		run.error_step && message ? ": " : null,
		message,
	);
}
