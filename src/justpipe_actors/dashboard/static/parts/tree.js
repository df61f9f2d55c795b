// A value as a tree that opens where one looks, and the difference of two states.
import { button, dim, el, put, remark } from "../base/dom.js";

const MOST = 200; // children that are shown at first

/** Build a tree of a JSON value. */
export function jsonTree(value, { open = 1, name = null } = {}) {
	if (value === null || typeof value !== "object") return el("div", { class: "leaf" }, name !== null ? [key(name), ": "] : null, scalar(value));
	const entries = Object.entries(value);
	const summary = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
	if (entries.length === 0) return el("div", { class: "leaf" }, name !== null ? [key(name), ": "] : null, dim(Array.isArray(value) ? "[]" : "{}"));
	const details = el("details", { class: "tree" }, el("summary", {}, name !== null ? [key(name), " "] : null, dim(summary)));
	const fill = () => {
		if (details.dataset.filled) return;
		details.dataset.filled = "1";
		details.append(...childrenOf(entries, 0, open - 1));
	};
	details.addEventListener("toggle", () => details.open && fill());
	if (open > 0) {
		details.open = true;
		fill();
	}
	return details;
}

function childrenOf(entries, from, open) {
	const shown = entries.slice(from, from + MOST).map(([name, value]) => jsonTree(value, { open, name }));
	const rest = entries.length - from - MOST;
	if (rest > 0) {
		const more = button(`${rest} more`, () => more.replaceWith(...childrenOf(entries, from + MOST, open)), { class: "link" });
		shown.push(more);
	}
	return shown;
}

function key(name) {
	return el("span", { class: "key" }, name);
}

function scalar(value) {
	if (typeof value !== "string") return el("span", { class: `value ${typeof value}` }, String(value));
	const node = el("span", { class: "value string" }, value.length > 300 ? `${value.slice(0, 300)}…` : value);
	if (value.length > 300) node.title = `${value.length} characters`;
	const parsed = nested(value);
	if (parsed === undefined) return node;
	const reader = button("read as JSON", () => reader.replaceWith(jsonTree(parsed)), { class: "link" });
	return el("span", {}, node, " ", reader);
}

function nested(text) {
	if (!/^\s*[[{]/.test(text)) return undefined;
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

/** Write a path: user.tags[2]. */
export function pathText(path) {
	return path.map((part, index) => (typeof part === "number" ? `[${part}]` : index ? `.${part}` : part)).join("") || "the whole state";
}

/** Build a list of what was added, removed and changed. */
export function diffList(difference) {
	const rows = [
		...difference.changed.map((one) => row("~", "changed", one)),
		...difference.added.map((one) => row("+", "added", one)),
		...difference.removed.map((one) => row("−", "removed", one)),
	];
	if (rows.length === 0) return remark("Nothing changed.");
	const list = el("ul", { class: "diff" });
	const show = (most) => {
		put(list, rows.slice(0, most));
		if (rows.length > most) list.append(el("li", {}, button(`${rows.length - most} more`, () => show(rows.length), { class: "link" })));
	};
	show(MOST);
	return list;
}

function row(sign, word, one) {
	return el(
		"li",
		{ class: word },
		el("span", { class: "sign", "aria-label": word }, sign),
		el("span", { class: "key" }, pathText(one.path)),
		"before" in one ? el("del", {}, text(one.before)) : null,
		"before" in one && "after" in one ? " → " : null,
		"after" in one ? el("ins", {}, text(one.after)) : null,
	);
}

function text(value) {
	const written = typeof value === "string" ? value : JSON.stringify(value);
	return written.length > 200 ? `${written.slice(0, 200)}…` : written;
}
