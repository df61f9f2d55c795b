// Small charts as SVG; each has a text for readers of the screen.
import { bar, el, svg } from "../base/dom.js";
import { duration, ticks } from "../base/format.js";
import { LABELS, statusTone, statusWord } from "./status.js";

/** Stacked bars, one for each bin: { label: number }; onrange(first, last) is called when some were dragged over. */
export function stackedBars(bins, { label, height = 40, title = () => "", onrange = null }) {
	const most = Math.max(1, ...bins.map((bin) => Object.values(bin).reduce((sum, n) => sum + n, 0)));
	const width = 10;
	const bars = bins.map((bin, index) => {
		let y = height;
		const parts = LABELS.filter((name) => bin[name]).reverse().map((name) => {
			const length = Math.max(2, (bin[name] / most) * (height - 2));
			y -= length;
			return svg("rect", { class: `fill ${statusTone(name)}`, x: index * width + 0.5, y, width: width - 1, height: length });
		});
		const words = LABELS.filter((name) => bin[name]).map((name) => `${bin[name]} ${statusWord(name)}`).join(", ");
		const cell = svg("rect", { class: "hit", x: index * width, y: 0, width, height });
		return svg("g", {}, svg("title", {}, `${title(index)}: ${words || "none"}`), cell, parts);
	});
	const total = bins.reduce((sum, bin) => sum + Object.values(bin).reduce((s, n) => s + n, 0), 0);
	const chart = svg(
		"svg",
		{
			class: "chart",
			viewBox: `0 0 ${bins.length * width} ${height}`,
			preserveAspectRatio: "none",
			height,
			role: "img",
			"aria-label": `${label}: ${total} altogether, at most ${most} at once`,
		},
		bars,
	);
	if (onrange) dragOver(chart, bins.length, width, height, onrange);
	return chart;
}

/** Let bins be chosen by dragging from one to another. */
function dragOver(chart, most, width, height, onrange) {
	const shade = svg("rect", { class: "shade", y: 0, height });
	const at = (event) => Math.max(0, Math.min(most - 1, Math.floor((event.offsetX / chart.clientWidth) * most)));
	let from = null;
	const range = (event) => [from, at(event)].sort((a, b) => a - b);
	chart.classList.add("draggable");
	chart.addEventListener("pointerdown", (event) => {
		from = at(event);
		chart.setPointerCapture(event.pointerId);
		event.preventDefault();
	});
	chart.addEventListener("pointermove", (event) => {
		if (from === null) return;
		const [first, last] = range(event);
		shade.setAttribute("x", first * width);
		shade.setAttribute("width", (last - first + 1) * width);
		chart.append(shade);
	});
	chart.addEventListener("pointerup", (event) => {
		if (from !== null) onrange(...range(event));
		from = null;
	});
}

/** The statuses of the last runs, a tick each, the newest at the right. */
export function strip(ticksOf, hrefOf) {
	const most = Math.max(...ticksOf.map(([, , seconds]) => seconds || 0), 0.001);
	return svg(
		"svg",
		{ class: "strip", viewBox: "0 0 180 24", width: 180, height: 24, role: "img", "aria-label": stripText(ticksOf) },
		ticksOf.map(([id, status, seconds], index) => {
			const height = 6 + 16 * ((seconds || 0) / most);
			return mark([id, status, seconds], hrefOf, "rect", { x: (30 - ticksOf.length + index) * 6, y: 23 - height, width: 4.5, height, rx: 1 });
		}),
	);
}

/** Build the mark of a run, which leads to it; readers of the screen have the text of the chart. */
function mark([id, status, seconds], hrefOf, shape, place) {
	return svg(
		"a",
		{ href: hrefOf(id), tabindex: "-1", "aria-hidden": "true" },
		svg("title", {}, `${id.slice(0, 8)}: ${statusWord(status)}, ${duration(seconds)}`),
		svg(shape, { class: `fill ${statusTone(status)}`, ...place }),
	);
}

function stripText(ticksOf) {
	const counts = new Map();
	for (const [, status] of ticksOf) counts.set(status, (counts.get(status) || 0) + 1);
	return `Last ${ticksOf.length} runs: ${[...counts].map(([status, n]) => `${n} ${statusWord(status)}`).join(", ")}`;
}

/** Durations over time; lines at the median and the 95th percentile. */
export function scatter(points, { p50, p95, hrefOf }) {
	const [width, height, left, bottom] = [Math.min(560, innerWidth - 60), 180, 44, 18];
	const most = Math.max(...points.map((point) => point[1]), 0.001);
	const first = Math.min(...points.map((point) => point[0]));
	const last = Math.max(...points.map((point) => point[0]), first + 1);
	const x = (at) => left + ((at - first) / (last - first)) * (width - left - 8);
	const y = (seconds) => height - bottom - (seconds / (most * 1.05)) * (height - bottom - 8);
	const lines = ticks(most, 4).map((tick) =>
		svg("g", { class: "grid" }, svg("line", { x1: left, x2: width, y1: y(tick), y2: y(tick) }), svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, duration(tick))),
	);
	const marks = [["p50", p50], ["p95", p95]].filter(([, value]) => value !== null).map(([name, value]) =>
		svg("g", { class: "mark" }, svg("line", { x1: left, x2: width, y1: y(value), y2: y(value) }), svg("text", { x: width - 4, y: y(value) - 3, "text-anchor": "end" }, name)),
	);
	const dots = points.map(([at, seconds, status, id]) => mark([id, status, seconds], hrefOf, "circle", { cx: x(at), cy: y(seconds), r: 3.2 }));
	return svg(
		"svg",
		{ class: "chart scatter", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Durations of ${points.length} runs: median ${duration(p50)}, 95th percentile ${duration(p95)}` },
		lines,
		dots,
		marks,
	);
}

/** Horizontal bars with their names and numbers, as a list. */
export function bars(pairs, { tone = "bad", format = String } = {}) {
	const most = Math.max(...pairs.map(([, n]) => n), 1);
	return el(
		"ul",
		{ class: "bars" },
		pairs.map(([name, n]) =>
			el("li", {}, el("span", { class: "name", title: name }, name), el("span", { class: "track" }, bar(tone, `${(100 * n) / most}%`)), el("span", { class: "number" }, format(n))),
		),
	);
}
