// The drawing of a pipeline, coloured by the statuses of its steps.
import { el, put, svg } from "../base/dom.js";
import { getText } from "../base/api.js";
import { statusWord } from "./status.js";

const MARGIN = 8; // between a label and the border of its figure
const SMALLEST = 0.8; // below this scale labels cannot be read; the pane scrolls instead

export class Graph {
	/** onpick(step) is called when a step is clicked, or null when none is chosen. */
	constructor(hash, fingerprint, onpick) {
		this.hash = hash;
		this.fingerprint = fingerprint;
		this.onpick = onpick;
		this.steps = new Map(); // path of a step -> its elements
		this.pane = el("div", { class: "graph scroll", role: "group", "aria-label": "Graph of the pipeline" });
		this.picked = null;
	}

	async load() {
		const place = this.pane.getBoundingClientRect();
		const space = { width: Math.max(place.width, 300) - 4, height: Math.max(place.height, 300) - 4 };
		const down = await this.fetch("TD");
		if (fit(down, space) >= SMALLEST) return this.place(down, fit(down, space));
		const right = await this.fetch("LR");
		if (fit(right, space) >= SMALLEST) return this.place(right, fit(right, space));
		// What does not fit scrolls down the page rather than sideways.
		const narrower = sizeOf(right)[0] < sizeOf(down)[0] && sizeOf(down)[0] * SMALLEST > space.width ? right : down;
		return this.place(narrower, Math.min(1, space.width / sizeOf(narrower)[0]));
	}

	async fetch(direction) {
		const path = `api/pipelines/${encodeURIComponent(this.hash)}/graph.svg`;
		const text = await getText(path, { fingerprint: this.fingerprint, direction });
		const parsed = new DOMParser().parseFromString(text, "image/svg+xml");
		return document.importNode(parsed.documentElement, true);
	}

	place(drawing, wanted) {
		const [width] = sizeOf(drawing);
		const scale = Math.min(1, Math.max(SMALLEST, wanted));
		drawing.removeAttribute("height");
		drawing.setAttribute("width", Math.round(width * scale));
		drawing.setAttribute("role", "presentation");
		this.index(drawing, "");
		put(this.pane, drawing);
		fitLabels(drawing);
		const [first] = this.steps.keys();
		if (first === undefined) return;
		this.steps.get(first).tabIndex = 0;
		this.reveal(first);
		this.pane.addEventListener("click", (event) => this.click(event));
		this.pane.addEventListener("keydown", (event) => this.key(event));
	}

	/** Find the steps; those of a child pipe stand in a group behind their step's figure. */
	index(container, prefix) {
		let before = null;
		for (const child of container.children) {
			if (child.tagName !== "g") continue;
			if (child.dataset.step !== undefined) {
				const path = prefix + child.dataset.step;
				child.dataset.path = path;
				child.setAttribute("role", "button");
				child.setAttribute("tabindex", "-1");
				child.setAttribute("aria-label", path);
				this.steps.set(path, child);
				before = path;
			} else this.index(child, before === null ? prefix : `${before}:`);
		}
	}

	/** Colour the steps: a map of statuses by step; those without one have not begun. */
	show(statuses, isOver) {
		for (const [path, group] of this.steps) {
			const status = statuses.get(path) || (isOver ? "skipped" : "");
			if (group.dataset.status === status) continue;
			group.dataset.status = status;
			group.setAttribute("aria-label", status ? `${path}: ${statusWord(status)}` : path);
		}
	}

	/** Colour the steps by how hot they are: [share of the hottest, words] by step; null ends that. */
	heat(shares, meaning) {
		for (const [path, group] of this.steps) {
			const [share, words] = (shares && shares.get(path)) || [0, "none"];
			group.classList.toggle("heated", shares !== null);
			group.style.setProperty("--heat", `${Math.round(share * 55)}%`);
			if (shares === null) continue;
			group.dataset.status = "";
			group.setAttribute("aria-label", `${path}: ${meaning} ${words}`);
			put(group.querySelector("title") || group.appendChild(svg("title")), `${path}: ${words}`);
		}
	}

	/** Scroll the pane so that a step is in its middle. */
	reveal(step) {
		const group = this.steps.get(step);
		if (!group) return;
		const [box, pane] = [group.getBoundingClientRect(), this.pane.getBoundingClientRect()];
		if (box.top >= pane.top && box.bottom <= pane.bottom && box.left >= pane.left && box.right <= pane.right) return;
		this.pane.scrollBy(box.left + box.width / 2 - pane.left - pane.width / 2, box.top + box.height / 2 - pane.top - pane.height / 2);
	}

	pick(step) {
		this.picked = step;
		for (const [path, group] of this.steps) group.classList.toggle("picked", path === step);
	}

	click(event) {
		const group = event.target.closest("[data-path]");
		const step = group ? group.dataset.path : null;
		this.onpick(step === this.picked ? null : step);
	}

	key(event) {
		const group = event.target.closest("[data-path]");
		if (!group) return;
		const order = [...this.steps.values()];
		const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
		if (event.key === "Enter" || event.key === " ") this.click(event);
		else if (step !== undefined) {
			const next = order[(order.indexOf(group) + step + order.length) % order.length];
			group.tabIndex = -1;
			next.tabIndex = 0;
			next.focus();
		} else return;
		event.preventDefault();
	}
}

/** Press labels together that are wider than their figure: fonts differ from what was reckoned with. */
function fitLabels(drawing) {
	const wide = [...drawing.querySelectorAll("[data-step]")].flatMap((group) => {
		const [box, text] = [group.querySelector("rect"), group.querySelector("text")];
		const space = box && text ? box.width.baseVal.value - 2 * MARGIN : Infinity;
		return text && text.getComputedTextLength() > space ? [[text, space]] : [];
	});
	for (const [text, space] of wide) {
		text.setAttribute("textLength", space);
		text.setAttribute("lengthAdjust", "spacingAndGlyphs");
	}
}

function sizeOf(drawing) {
	return drawing.getAttribute("viewBox").split(" ").map(Number).slice(2);
}

function fit(drawing, space) {
	const [width, height] = sizeOf(drawing);
	return Math.min(space.width / width, space.height / height);
}
