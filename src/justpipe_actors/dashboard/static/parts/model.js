// A run as spans: from the server's rows at first, then from its events while it goes on.
// `statusAt` answers for replay and for live alike.

export const ROW = { id: 0, label: 1, kind: 2, start: 3, end: 4, status: 5, attempt: 6, parent: 7, first: 8, last: 9, step: 10, cause: 11, tries: 12 };
export const CELL = { seq: 0, type: 1, stage: 2, t: 3, invocation: 4, attempt: 5, scope: 6, payload: 7, kind: 8, owner: 9, parent: 10, tries: 11 };

const ENDS = { step_end: "done", step_error: "failed", cancelled: "cancelled" };

export class RunModel {
	constructor(data) {
		this.t0 = data.t0;
		this.next = data.next;
		this.spans = data.spans.map(fromRow);
		this.byId = new Map(this.spans.map((span) => [span.id, span]));
		this.byPlace = Map.groupBy(this.spans, placeOf);
		this.joins = {}; // steps that wait for several others, with those
		this.lost = 0; // number of events that are not kept any more
		this.finish = null; // how the run ended, as FINISH said
		this.recoveries = []; // when other processes took the run up
		this.latest = Math.max(0, ...this.spans.map((span) => span.end ?? span.start));
		this.isOver = false;
	}

	/** Take rows that are newer than a number, replacing those that are known. */
	merge(data) {
		if (data.next < this.next) return; // a late reply: newer rows are known
		for (const row of data.spans) {
			const span = fromRow(row);
			const known = this.byId.get(span.id);
			if (known) Object.assign(known, span);
			else this.add(span);
		}
		this.next = Math.max(this.next, data.next);
		this.latest = Math.max(this.latest, ...data.spans.map((row) => row[ROW.end] ?? row[ROW.start]));
	}

	/** Take events of a stream; false when some are missing between. */
	hear(rows) {
		for (const row of rows) {
			const seq = row[CELL.seq];
			if (row[CELL.type] === "gap") this.skip(row[CELL.payload]);
			if (seq === null || seq <= this.next) continue;
			// A process that takes a run up begins numbers of its own, above the last ones.
			if (seq !== this.next + 1 && row[CELL.type] !== "recovered") return false;
			this.next = seq;
			this.note(row);
		}
		return true;
	}

	/** Count events that are not kept any more. */
	skip({ from, to }) {
		this.lost += Math.max(0, to - Math.max(from - 1, this.next));
		this.next = Math.max(this.next, to);
	}

	note(row) {
		// A run that is not stored may have waited for its place; its time counts from START.
		if (row[CELL.type] === "start" && row[CELL.stage] === "system" && this.spans.length === 0) this.t0 = row[CELL.t];
		const at = row[CELL.t] - this.t0;
		if (row[CELL.type] === "recovered" && row[CELL.stage] === "system") this.interrupt(at, row[CELL.seq]);
		this.latest = Math.max(this.latest, at);
		const type = row[CELL.type];
		const id = row[CELL.invocation];
		if (type === "step_start") {
			const before = this.byId.get(row[CELL.parent]);
			if (row[CELL.attempt] > 1 && before && before.end === null) this.close(before, at, "retried", row[CELL.seq]);
			this.add({
				id,
				label: labelOf(row[CELL.stage], row[CELL.scope]),
				kind: row[CELL.kind],
				start: at,
				end: null,
				status: "running",
				attempt: row[CELL.attempt],
				parent: row[CELL.owner] === id ? null : row[CELL.owner],
				first: row[CELL.seq],
				last: null,
				step: row[CELL.stage],
				cause: row[CELL.parent],
				tries: 1,
			});
		} else if (ENDS[type] && this.byId.has(id)) {
			const span = this.byId.get(id);
			span.tries = row[CELL.tries] ?? 1;
			this.close(span, at, ENDS[type], row[CELL.seq]);
		} else if (type === "finish" && row[CELL.stage] === "system") {
			this.isOver = true;
			this.finish = row[CELL.payload];
			for (const span of this.spans) if (span.end === null) this.close(span, at, "unfinished", row[CELL.seq]);
		}
	}

	/** Another process goes on: what the one before had at work ended with it. */
	interrupt(at, seq) {
		this.recoveries.push(at);
		for (const span of this.spans) if (span.end === null) this.close(span, this.latest, "interrupted", seq);
	}

	add(span) {
		this.spans.push(span);
		const place = placeOf(span);
		if (!this.byPlace.get(place)?.push(span)) this.byPlace.set(place, [span]);
		this.byId.set(span.id, span);
	}

	close(span, at, status, seq) {
		span.end = Math.max(at, span.start);
		span.status = status;
		span.last = seq;
	}

	/** Return what a span waited for before it began, and how long: { after, seconds }; null if it did not wait. */
	waitOf(span) {
		const cause = this.byId.get(span.cause);
		if (!cause || cause.end === null || cause.end >= span.start) return null;
		return { after: cause.label, seconds: span.start - cause.end };
	}

	/** Return what a join waited for: { arrived, seconds }, the last parent last; null if it had no choice. */
	joinOf(span) {
		if (!Object.hasOwn(this.joins, span.step) || span.attempt > 1) return null;
		const parents = this.joins[span.step];
		const round = this.before(span, span.step, -Infinity);
		const arrived = parents.map((step) => this.before(span, step, round ? round.start : -Infinity)).filter(Boolean);
		if (arrived.length < 2) return null;
		arrived.sort((a, b) => a.end - b.end || (b.id === span.cause ? -1 : 1));
		return { arrived, seconds: arrived.at(-1).end - arrived[0].end };
	}

	/** Return the last span of a step, beside another one, that had ended when that one began. */
	before(span, step, since) {
		const beside = this.byPlace.get(placeOf({ ...span, step })) || [];
		return beside.findLast((one) => one !== span && one.end !== null && one.end <= span.start && one.end >= since);
	}

	/** Seconds from the start to the last thing that is known. */
	get total() {
		return Math.max(this.latest, 0.001);
	}

	/** Return the status of every step at a moment: running, failed, done or none. */
	statusAt(t = Infinity) {
		const found = new Map();
		for (const span of this.spans) {
			if (span.start > t) continue;
			const isOpen = span.end === null || span.end > t;
			const status = isOpen ? "running" : span.status;
			found.set(span.step, stronger(found.get(span.step), status));
		}
		return found;
	}

	/** Return the number of the last start or end of a step up to a moment. */
	sequenceAt(t) {
		return this.spans.reduce((most, span) => Math.max(most, span.start <= t ? span.first : 0, span.end !== null && span.end <= t ? span.last : 0), 0);
	}

	/** Return figures by step, in the order in which the steps began. */
	steps(now = this.latest) {
		const found = new Map();
		for (const span of this.spans) {
			let step = found.get(span.step);
			if (!step) {
				step = { step: span.step, runs: 0, done: 0, failed: 0, running: 0, attempts: 0, total: 0, times: [], status: "done" };
				found.set(span.step, step);
			}
			const seconds = (span.end ?? now) - span.start;
			step.attempts += span.tries ?? 1;
			if (span.attempt === 1) step.runs += 1;
			if (span.status === "done") step.done += 1;
			if (span.status === "failed") step.failed += 1;
			if (span.status === "running") step.running += 1;
			step.total += seconds;
			step.times.push(seconds);
			step.status = stronger(step.status, span.status);
		}
		for (const step of found.values()) step.times.sort((a, b) => a - b);
		return [...found.values()];
	}
}

/** Return how much of the time, failures, retries and calls of some runs falls to each step, as [share, words]. */
export function heatOf(models) {
	const sums = new Map();
	for (const one of models.flatMap((model) => model.steps())) {
		const sum = sums.get(one.step) || { time: 0, failed: 0, runs: 0, retries: 0 };
		sums.set(one.step, { time: sum.time + one.total, failed: sum.failed + one.failed, runs: sum.runs + one.runs, retries: sum.retries + one.attempts - one.runs });
	}
	const all = [...sums.values()].reduce((total, sum) => total + sum.time, 0) || 1;
	const shares = (of, words) => {
		const most = Math.max(...[...sums.values()].map(of), 0) || 1;
		return new Map([...sums].map(([step, sum]) => [step, [of(sum) / most, words(of(sum))]]));
	};
	const percent = (share) => `${(100 * share).toFixed(1)} %`;
	return {
		time: shares((sum) => sum.time / all, percent),
		failures: shares((sum) => sum.failed / Math.max(1, sum.runs), percent),
		retries: shares((sum) => sum.retries, String),
		calls: shares((sum) => sum.runs, String),
	};
}

const RANK = { done: 0, retried: 1, interrupted: 1, unfinished: 2, cancelled: 3, running: 4, failed: 5 };

function stronger(a, b) {
	return a === undefined || (RANK[b] ?? 0) > (RANK[a] ?? 0) ? b : a;
}

function fromRow(row) {
	return Object.fromEntries(Object.entries(ROW).map(([key, place]) => [key, row[place]]));
}

/** Return the place of a span: its step in one map, child or run. */
function placeOf({ parent, step }) {
	return `${parent}|${step}`;
}

/** Name an invocation: a map worker by its item, anything else by its step. */
export function labelOf(stage, scope) {
	const owner = stage.slice(0, stage.lastIndexOf(":") + 1);
	const last = scope.at(-1) || "";
	if (last.slice(0, last.lastIndexOf("[")) !== stage.slice(owner.length) || !last) return stage;
	return owner + scope.filter((place) => place.endsWith("]")).join("/");
}

/** Return the spans as lines of a tree: attempts of one invocation share a line. */
export function linesOf(spans) {
	const lines = [];
	const byInvocation = new Map();
	const latest = new Map();
	for (const span of spans) {
		const key = `${span.parent}|${span.label}`;
		const before = latest.get(key);
		if (span.attempt > 1 && before) {
			before.spans.push(span);
			byInvocation.set(span.id, before);
			continue;
		}
		const line = { label: span.label, spans: [span], depth: 0, children: [] };
		latest.set(key, line);
		byInvocation.set(span.id, line);
		const owner = byInvocation.get(span.parent);
		if (owner && owner !== line) owner.children.push(line);
		else lines.push(line);
	}
	return lines;
}

/** Return the lines that are shown, in order; children of a folded line are left out. */
export function visibleLines(lines, folded, depth = 0, into = []) {
	for (const line of lines) {
		line.depth = depth;
		into.push(line);
		if (line.children.length && !folded.has(line.spans[0].id)) visibleLines(line.children, folded, depth + 1, into);
	}
	return into;
}
