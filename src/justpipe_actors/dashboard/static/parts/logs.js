// The log records of a run: filtered by the server, and new ones as they come.
import { problem } from "../base/attempt.js";
import { button, el, put } from "../base/dom.js";
import { get } from "../base/api.js";
import { duration } from "../base/format.js";
import { delayed, subscribe } from "../base/live.js";
import { redraw } from "../base/redraw.js";
import { headRow } from "../base/table.js";

const PAGE = 500;
const MOST = 5000; // rows of a run that goes on; older ones are found by loading the tab again
const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"];
const TONES = [[40, "bad"], [30, "wait"], [20, ""], [0, "dim"]];

export class Logs {
	constructor(run, model) {
		Object.assign(this, { run, model, last: 0, stop: null, early: null, isComplete: false });
		this.path = `runs/${encodeURIComponent(run.run_id)}/logs`;
		this.body = el("tbody");
		this.more = el("div", { class: "more" });
		const again = delayed(() => this.load());
		this.search = el("input", { type: "search", "aria-label": "Search all log records", placeholder: "Search all log records", oninput: again });
		this.level = el("select", { "aria-label": "Least level", onchange: again }, LEVELS.map((name) => el("option", { value: name }, name === "DEBUG" ? "all levels" : `${name} and above`)));
		this.list = el("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Log records" }, el("table", { class: "events logs" }, headRow(["#Time", "Level", "Step", "Logger", "Message"]), this.body));
		this.node = el("div", {}, el("div", { class: "bar-tools" }, this.search, this.level), this.list, this.more);
	}

	get filter() {
		return { level: this.level.value, q: this.search.value.trim() };
	}

	/** Read from the first record on, and go on with new ones while the run does. */
	async load() {
		put(this.body);
		this.last = 0;
		await this.loadMore();
	}

	async loadMore() {
		const query = (this.asked = { ...this.filter, after: this.last, limit: PAGE });
		this.early = []; // what the stream says before the reply is there
		const page = await get(`api/${this.path}`, query).catch((problem) => ({ problem }));
		if (query !== this.asked) return; // other records were asked for meanwhile
		if (page.problem) {
			redraw(this.more, problem(page.problem.message, () => this.loadMore()));
			return;
		}
		const early = this.early;
		this.early = null;
		this.isComplete = page.next === null;
		this.add(page.logs);
		if (early.length) this.hear(early);
		redraw(this.more, page.next === null ? null : button("Load more", () => this.loadMore()));
		if (!this.body.children.length) put(this.body, el("tr", {}, el("td", { colspan: 5, class: "dim" }, this.run.is_live ? "No log record yet." : "No log record matches, or none was stored.")));
		if (page.next === null && this.run.is_live && this.stop === null) this.stop = subscribe(`${this.path}/stream`, this.last, { logs: (rows) => this.hear(rows) });
	}

	hear(rows) {
		if (this.early) {
			this.early.push(...rows);
			return;
		}
		if (!this.isComplete) return; // they are among those that "Load more" asks for
		const { level, q } = this.filter;
		const least = 10 * (1 + LEVELS.indexOf(level));
		const isWanted = (row) => (row.severity >= least || level === "DEBUG") && `${row.text}${row.traceback}${row.logger}`.toLowerCase().includes(q.toLowerCase());
		const isAtEnd = this.list.scrollTop + this.list.clientHeight >= this.list.scrollHeight - 20;
		this.add(rows.filter((row) => row.number > this.last && isWanted(row)));
		while (this.body.children.length > MOST) this.body.firstChild.remove();
		if (isAtEnd) this.list.scrollTop = this.list.scrollHeight;
	}

	add(rows) {
		if (rows.length === 0) return;
		if (this.last === 0) put(this.body);
		this.last = rows.at(-1).number;
		this.body.append(...rows.map((row) => this.row(row)));
	}

	row(one) {
		const tone = TONES.find(([least]) => one.severity >= least)[1];
		const trace = one.traceback ? el("details", {}, el("summary", { class: "dim" }, "traceback"), el("pre", {}, one.traceback)) : null;
		return el(
			"tr",
			{ class: "event" },
			el("td", { class: "number", title: new Date(one.at * 1000).toISOString() }, duration(Math.max(0, one.at - this.model.t0))),
			el("td", { class: tone }, one.level),
			el("td", {}, one.step || ""),
			el("td", { class: "dim" }, one.logger),
			el("td", { class: "wide" }, el("pre", { class: tone }, one.text), trace),
		);
	}
}
