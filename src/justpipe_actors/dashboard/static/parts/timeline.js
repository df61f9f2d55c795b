// The waterfall: a canvas that draws only the rows in view, and a table for screen readers.
import { button, dim, el } from "../base/dom.js";
import { duration, ticks } from "../base/format.js";
import { redraw } from "../base/redraw.js";
import { headRow } from "../base/table.js";
import { drawBracket, joinText } from "./brackets.js";
import { clipped, colours, hatch } from "./canvas.js";
import { linesOf, visibleLines } from "./model.js";
import { statusWord } from "./status.js";

const ROW = 20;
const BEHIND = 90; // space for what is written behind the last bar
const HEAD = 22;
const MANY = 200;
const TONES = { done: "ok", failed: "bad", running: "run", retried: "wait", interrupted: "wait", unfinished: "off", cancelled: "off" };

export class Timeline {
	constructor(model, onpick) {
		this.model = model;
		this.onpick = onpick;
		this.folded = new Set();
		this.known = new Set();
		this.window = null; // [from, to] in seconds; null is all of it
		this.step = null;
		this.row = -1;
		this.cursor = null;
		this.canvas = el("canvas", { "aria-hidden": "true" });
		this.pad = el("div", { class: "pad" });
		this.twin = el("tbody");
		this.note = el("span", { class: "wait" });
		this.about = el("span", { role: "status" });
		this.tip = el("div", { class: "tip", hidden: true });
		this.pane = el(
			"div",
			{ class: "timeline", tabindex: "0", role: "application", "aria-label": "Timeline. Up and down choose a row, L chooses the last step that a join waited for, F fits the row, Escape shows all." },
			this.canvas,
			this.pad,
		);
		this.reset = button("Show all", () => this.zoom(null), { hidden: true });
		this.node = el(
			"div",
			{ class: "timeline-box" },
			el("div", { class: "bar-tools" }, dim("Drag over the bars to zoom."), this.note, this.reset, this.about),
			this.pane,
			this.tip,
			el("div", { class: "hidden" }, el("table", {}, el("caption", {}, "Rows of the timeline in view"), headRow(["Step", "Start", "Duration", "Status", "Waited for"]), this.twin)),
		);
		this.listen();
		this.update();
	}

	listen() {
		const redraw = () => this.draw();
		const repaint = () => {
			this.paint = null;
			this.draw();
		};
		this.pane.addEventListener("scroll", redraw);
		new ResizeObserver(redraw).observe(this.pane);
		addEventListener("themechange", repaint);
		matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
		this.pane.addEventListener("pointerdown", (event) => this.press(event));
		this.pane.addEventListener("pointermove", (event) => this.hover(event));
		this.pane.addEventListener("pointerup", (event) => this.release(event));
		this.pane.addEventListener("pointerleave", () => {
			this.tip.hidden = true;
		});
		this.pane.addEventListener("keydown", (event) => this.key(event));
	}

	/** Take what the model has now. */
	update() {
		const { recoveries } = this.model;
		this.note.textContent = recoveries.length ? `Taken up again by another process after ${recoveries.map(duration).join(", ")}.` : "";
		const lines = linesOf(this.model.spans);
		this.foldLong(lines);
		this.lines = visibleLines(lines, this.folded);
		this.draw();
	}

	foldLong(lines) {
		for (const line of lines) {
			const id = line.spans[0].id;
			if (line.children.length > MANY && !this.known.has(id)) this.folded.add(id);
			if (line.children.length > MANY) this.known.add(id);
			this.foldLong(line.children);
		}
	}

	pick(step) {
		this.step = step;
		const row = step === null ? -1 : this.lines.findIndex((line) => line.spans[0].step === step);
		if (row >= 0) this.reveal(row);
		this.draw();
	}

	/** Show the span of one invocation. */
	find(id) {
		const row = this.lines.findIndex((line) => line.spans.some((span) => span.id === id));
		if (row >= 0) {
			this.choose(row);
			this.reveal(row);
			this.draw();
		}
	}

	/** Mark a row, and say what it is. */
	choose(row) {
		this.row = row;
		this.about.textContent = this.words(this.lines[row]);
	}

	/** Write what is known about a line. */
	words(line) {
		const [first, span] = [line.spans[0], line.spans.at(-1)];
		const wait = this.model.waitOf(first);
		return [
			line.label,
			statusWord(span.status),
			`starts at ${duration(first.start)}`,
			this.joined(line),
			wait && wait.seconds >= 0.001 ? `${duration(wait.seconds)} after ${wait.after}` : "",
			`takes ${duration((span.end ?? this.model.latest) - span.start)}`,
			span.attempt > 1 ? `attempt ${span.attempt}` : "",
		].filter(Boolean).join(" · ");
	}

	/** Write what a line waited for, if it is a join. */
	joined({ spans: [first] }) {
		const join = this.model.joinOf(first);
		return join ? joinText(join) : "";
	}

	reveal(row) {
		const top = row * ROW;
		const height = this.pane.clientHeight - HEAD;
		if (top < this.pane.scrollTop || top + ROW > this.pane.scrollTop + height) this.pane.scrollTop = Math.max(0, top - height / 2);
	}

	at(t) {
		this.cursor = t;
		this.draw();
	}

	zoom(window) {
		this.window = window;
		this.reset.hidden = window === null;
		this.draw();
	}

	get range() {
		return this.window || [0, this.model.total * 1.02];
	}

	// -- drawing

	geometry() {
		const width = this.pane.clientWidth;
		const names = Math.min(240, Math.max(110, width * 0.22));
		return { width, height: this.pane.clientHeight, names, scale: (width - names - Math.min(BEHIND, width * 0.15)) / (this.range[1] - this.range[0]) };
	}

	x(t) {
		const { names, scale } = this.place;
		return names + (t - this.range[0]) * scale;
	}

	draw() {
		const want = Math.min(420, Math.max(120, this.lines.length * ROW + HEAD + 6));
		this.pane.style.height = `${want}px`;
		this.place = this.geometry();
		const { width, height, names } = this.place;
		if (width === 0) return;
		const ratio = devicePixelRatio || 1;
		this.canvas.width = width * ratio;
		this.canvas.height = height * ratio;
		this.canvas.style.width = `${width}px`;
		this.canvas.style.height = `${height}px`;
		this.pad.style.height = `${Math.max(0, this.lines.length * ROW + HEAD + 4 - height)}px`;
		const context = this.canvas.getContext("2d");
		context.setTransform(ratio, 0, 0, ratio, 0, 0);
		context.font = "12px system-ui, sans-serif";
		context.textBaseline = "middle";
		this.paint = this.paint || colours(this.pane);
		const first = Math.floor(this.pane.scrollTop / ROW);
		const last = Math.min(this.lines.length, first + Math.ceil((height - HEAD) / ROW) + 1);
		this.drawBands(context, width, height);
		this.drawGrid(context, width, height);
		context.save();
		context.beginPath();
		context.rect(0, HEAD, width, height - HEAD);
		context.clip();
		for (let n = first; n < last; n += 1) this.drawLine(context, this.lines[n], n, names, width);
		context.restore();
		this.drawCursor(context, height);
		this.fillTwin(first, last);
	}

	/** Every process that had the run is a band; the space between them is what was lost. */
	drawBands(context, width, height) {
		const starts = [...this.model.recoveries, Infinity];
		starts.slice(0, -1).forEach((start, index) => {
			const [from, to] = [Math.max(this.x(start), this.place.names), Math.min(this.x(starts[index + 1]), width)];
			if (to <= from) return;
			context.fillStyle = this.paint[index % 2 ? "card" : "sunken"];
			context.fillRect(from, HEAD - 6, to - from, height);
			context.fillStyle = this.paint.wait;
			context.fillRect(from, 0, 1.5, height);
			context.fillText(`process ${index + 2}`, from + 4, height - 8);
		});
	}

	drawGrid(context, width, height) {
		const [from, to] = this.range;
		for (const tick of ticks(to - from, Math.max(3, Math.floor((width - 240) / 110)))) {
			const x = Math.round(this.x(from + tick)) + 0.5;
			if (x > width - 20) continue;
			context.strokeStyle = this.paint.line;
			context.beginPath();
			context.moveTo(x, HEAD - 4);
			context.lineTo(x, height);
			context.stroke();
			context.fillStyle = this.paint.dim;
			context.fillText(duration(from + tick), x + 3, HEAD / 2);
		}
	}

	drawLine(context, line, n, names, width) {
		const y = HEAD + n * ROW - this.pane.scrollTop;
		const isPicked = line.spans[0].step === this.step;
		if (isPicked || n === this.row) {
			context.fillStyle = this.paint.picked;
			context.fillRect(0, y, width, ROW);
		}
		const failed = line.spans.at(-1).status === "failed";
		const indent = 8 + Math.min(line.depth, 8) * 12;
		const sign = line.children.length ? (this.folded.has(line.spans[0].id) ? "▸ " : "▾ ") : "";
		context.fillStyle = failed ? this.paint.bad : this.paint.text;
		const more = sign.startsWith("▸") ? ` (${line.children.length})` : "";
		context.fillText(sign + clipped(context, line.label + more, names - indent - 6 - context.measureText(sign).width), indent, y + ROW / 2);
		context.save();
		context.beginPath();
		context.rect(names, y, width - names, ROW);
		context.clip();
		line.spans.forEach((span, index) => this.drawSpan(context, span, y, line, index));
		context.restore();
	}

	drawSpan(context, span, y, line, index) {
		const end = span.end ?? Math.max(this.model.latest, span.start);
		const [x, to] = [this.x(span.start), this.x(end)];
		const isFrame = line.children.length > 0;
		const length = Math.max(2, to - x);
		const begin = Math.min(x, this.drawJoin(context, span, y + ROW / 2));
		const wait = this.model.waitOf(span);
		if (wait) this.drawWait(context, x, y + 4, wait.seconds * this.place.scale);
		context.fillStyle = this.paint[TONES[span.status]] || this.paint.off;
		if (isFrame) {
			context.fillRect(x, y + 7, length, 4);
			context.fillRect(x, y + 5, 2, 9);
			context.fillRect(x + length - 2, y + 5, 2, 9);
		} else context.fillRect(x, y + 4, length, ROW - 8);
		if (["unfinished", "cancelled", "interrupted"].includes(span.status)) hatch(context, x, y + 4, length, ROW - 8, this.paint.card);
		if (index === line.spans.length - 1) {
			const tries = line.spans.length > 1 ? ` · ${line.spans.length} attempts` : "";
			const word = ["done", "running"].includes(span.status) ? "" : ` · ${statusWord(span.status)}`;
			context.fillStyle = span.status === "failed" ? this.paint.bad : this.paint.dim;
			this.drawText(context, duration(end - span.start) + word + tries, begin, Math.max(to, x + length), y + ROW / 2);
		}
	}

	/** A join waits until the last of its parents has ended.  Return where its bracket begins. */
	drawJoin(context, span, y) {
		const join = this.model.joinOf(span);
		if (!join) return Infinity;
		context.strokeStyle = context.fillStyle = this.paint.dim;
		context.lineWidth = 1;
		const marks = join.arrived.map((one) => Math.round(this.x(one.end)) + 0.5);
		return drawBracket(context, marks, join.arrived.at(-1).label, { y: Math.round(y) + 0.5, least: this.place.names });
	}

	/** A step that could have begun waits in its inbox, for a slot or for the loop: hatched before its bar. */
	drawWait(context, x, y, length) {
		if (length < 2) return;
		context.fillStyle = this.paint.off;
		context.fillRect(x - length, y, length, ROW - 8);
		hatch(context, x - length, y, length, ROW - 8, this.paint.card);
	}

	/** Write behind a bar, before it, or on it, where there is space. */
	drawText(context, text, from, to, y) {
		const { width, names } = this.place;
		const needed = context.measureText(text).width + 6;
		if (to + needed <= width) context.fillText(text, to + 6, y);
		else if (from - needed >= names) context.fillText(text, from - needed, y);
		else {
			context.fillStyle = this.paint.card; // on the bar, which is longer than the text
			context.fillText(text, Math.max(names + 4, Math.min(to, width) - needed), y);
		}
	}

	drawCursor(context, height) {
		const draw = (x, colour) => {
			context.fillStyle = colour;
			context.fillRect(x, HEAD - 4, 1.5, height);
		};
		if (this.cursor !== null) draw(this.x(this.cursor), this.paint.run);
		if (this.dragged) {
			const [a, b] = [this.dragged.from, this.dragged.to].sort((one, two) => one - two);
			context.fillStyle = this.paint.picked;
			context.fillRect(a, HEAD, b - a, height);
		}
	}

	fillTwin(first, last) {
		clearTimeout(this.twinTimer);
		this.twinTimer = setTimeout(() => {
			redraw(
				this.twin,
				this.lines.slice(first, last).map((line) => {
					const span = line.spans.at(-1);
					const cells = [line.label, duration(span.start), duration((span.end ?? this.model.latest) - span.start), statusWord(span.status), this.joined(line)];
					return el("tr", {}, cells.map((text) => el("td", {}, text)));
				}),
			);
		}, 300);
	}

	// -- pointer and keys

	lineAt(event) {
		const box = this.pane.getBoundingClientRect();
		const row = Math.floor((event.clientY - box.top - HEAD + this.pane.scrollTop) / ROW);
		return [event.clientX - box.left, event.clientY - box.top < HEAD ? -1 : row];
	}

	press(event) {
		const [x] = this.lineAt(event);
		if (x > this.place.names && event.button === 0) this.dragged = { from: x, to: x };
	}

	hover(event) {
		const [x, row] = this.lineAt(event);
		if (this.dragged) {
			this.dragged.to = x;
			this.draw();
			return;
		}
		const line = this.lines[row];
		this.tip.hidden = !line;
		if (!line) return;
		this.tip.textContent = this.words(line);
		const box = this.node.getBoundingClientRect();
		this.tip.style.left = `${Math.min(event.clientX - box.left + 12, box.width - 260)}px`;
		this.tip.style.top = `${event.clientY - box.top + 14}px`;
	}

	release(event) {
		const [x, row] = this.lineAt(event);
		const dragged = this.dragged;
		this.dragged = null;
		if (dragged && Math.abs(dragged.to - dragged.from) > 6) {
			const time = (place) => this.range[0] + (place - this.place.names) / this.place.scale;
			const [a, b] = [time(dragged.from), time(dragged.to)].sort((one, two) => one - two);
			this.zoom([Math.max(0, a), Math.min(b, this.model.total * 1.02)]);
			return;
		}
		const line = this.lines[row];
		if (!line) return;
		if (x < this.place.names && line.children.length) this.toggle(line);
		this.choose(row);
		this.onpick(line.spans[0].step);
	}

	toggle(line) {
		const id = line.spans[0].id;
		if (!this.folded.delete(id)) this.folded.add(id);
		this.update();
	}

	key(event) {
		const line = this.lines[this.row];
		const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
		if (move) {
			this.choose(Math.max(0, Math.min(this.lines.length - 1, this.row + move)));
			this.reveal(this.row);
			this.onpick(this.lines[this.row].spans[0].step);
		} else if (event.key.toLowerCase() === "l" && line) {
			const join = this.model.joinOf(line.spans[0]);
			if (!join) return;
			this.onpick(join.arrived.at(-1).step);
			this.find(join.arrived.at(-1).id);
		} else if ((event.key === "Enter" || event.key === " ") && line && line.children.length) this.toggle(line);
		else if (event.key.toLowerCase() === "f" && line) {
			const span = line.spans.at(-1);
			const end = span.end ?? this.model.latest;
			const margin = Math.max((end - line.spans[0].start) * 0.1, 0.001);
			this.zoom([Math.max(0, line.spans[0].start - margin), end + margin]);
		} else if (event.key === "Escape") this.zoom(null);
		else return;
		event.preventDefault();
	}
}
