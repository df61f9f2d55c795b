// A table that is sorted by its headers and walked with j and k.
import { button, el } from "./dom.js";
import { isTyping } from "./frame.js";
import { keep, recall } from "./memory.js";
import { redraw } from "./redraw.js";

/**
 * columns: [{ key, label, cell(row), value(row), number, class, title, fixed, isHidden }]
 * options: { label, key(row), isSelected(row), onselect(key), empty, walks }
 */
export class Table {
	constructor(columns, options = {}) {
		this.columns = columns;
		this.hidden = new Set(columns.filter((column) => column.isHidden).map((column) => column.key));
		this.options = options;
		this.rows = [];
		this.sort = null;
		this.body = el("tbody");
		this.head = el("tr");
		this.node = el(
			"div",
			{ class: "scroll", tabindex: "0", role: "group", "aria-label": options.label || "Table" },
			el("table", { class: options.class || null }, el("thead", {}, this.head), this.body),
		);
		this.drawHead();
		if (options.walks !== false) addEventListener("keydown", (event) => this.key(event));
	}

	/** Show rows; those that stay keep their elements' place and the focus. */
	show(rows) {
		this.rows = rows;
		this.draw();
	}

	/** The columns that are shown. */
	get shown() {
		return this.columns.filter((column) => !this.hidden.has(column.key));
	}

	/** Return the table with the button of its columns below. */
	withChooser(name) {
		return [this.node, el("div", { class: "more" }, this.chooser(name))];
	}

	/** Build a button that opens a list of the columns; this browser keeps what was chosen. */
	chooser(name) {
		const key = `justpipe-columns-${name}`;
		const kept = recall(key);
		if (Array.isArray(kept)) this.hidden = new Set(kept);
		const toggle = (column) => {
			if (!this.hidden.delete(column.key)) this.hidden.add(column.key);
			keep(key, [...this.hidden]);
			this.drawHead();
			this.draw();
		};
		const boxes = this.columns.filter((column) => column.label).map((column) => el("label", {}, el("input", { type: "checkbox", checked: !this.hidden.has(column.key), onchange: () => toggle(column) }), ` ${column.label}`));
		const list = el("div", { popover: true, class: "popover", id: key, role: "group", "aria-label": "Columns" }, boxes);
		const opener = button("Columns", null, { popovertarget: key, class: "quiet" });
		list.addEventListener("beforetoggle", () => {
			const { left, top, bottom } = opener.getBoundingClientRect();
			const isLow = top > innerHeight / 2;
			list.style.left = `${left}px`;
			list.style.top = isLow ? "auto" : `${bottom + 4}px`;
			list.style.bottom = isLow ? `${innerHeight - top + 4}px` : "auto";
		});
		this.drawHead();
		return el("span", {}, opener, list);
	}

	draw() {
		const rows = this.sort ? this.sorted() : this.rows;
		const empty = rows.length === 0 && this.options.empty;
		redraw(this.body, empty ? el("tr", {}, el("td", { colspan: this.shown.length, class: "dim" }, empty)) : rows.map((row) => this.row(row)));
	}

	sorted() {
		const { column, sign } = this.sort;
		const value = column.value || ((row) => row[column.key]);
		return [...this.rows].sort((a, b) => {
			const [x, y] = [value(a), value(b)];
			if (x === y) return 0;
			if (x === null || x === undefined) return 1;
			if (y === null || y === undefined) return -1;
			return (x < y ? -1 : 1) * sign;
		});
	}

	drawHead() {
		redraw(
			this.head,
			this.shown.map((column) => {
				const state = this.sort && this.sort.column === column ? (this.sort.sign > 0 ? "ascending" : "descending") : null;
				const head = column.fixed ? column.label : button(column.label, () => this.sortBy(column), { class: "sort" });
				return el("th", { scope: "col", class: classOf(column), "aria-sort": state, title: column.title }, head);
			}),
		);
	}

	sortBy(column) {
		const same = this.sort && this.sort.column === column;
		if (same && this.sort.sign === (column.number ? 1 : -1)) this.sort = null;
		else this.sort = { column, sign: same ? -this.sort.sign : column.number ? -1 : 1 };
		this.drawHead();
		this.draw();
	}

	row(row) {
		const key = this.options.key ? this.options.key(row) : "";
		const cells = this.shown.map((column) => {
			const content = column.cell ? column.cell(row) : (row[column.key] ?? "-");
			return el("td", { class: classOf(column), "data-column": column.key }, content);
		});
		const isSelected = this.options.isSelected && this.options.isSelected(row);
		return el("tr", { "data-key": key, tabindex: "-1", class: isSelected ? "selected" : null }, cells);
	}

	focus(row) {
		if (!row) return;
		const link = row.querySelector("a[href]");
		(link || row).focus();
	}

	key(event) {
		if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
		if (document.querySelector("dialog[open]") || !this.node.isConnected || this.node.closest("[hidden]")) return;
		const rows = [...this.body.rows].filter((row) => row.dataset.key);
		const current = rows.indexOf(document.activeElement.closest("tr"));
		if (event.key === "j") this.focus(rows[Math.min(current + 1, rows.length - 1)]);
		else if (event.key === "k") this.focus(rows[Math.max(current - 1, 0)]);
		else if (event.key === "x" && current >= 0 && this.options.onselect) this.options.onselect(rows[current].dataset.key);
		else return;
		event.preventDefault();
	}
}

function classOf({ number, class: name }) {
	return [number ? "number" : "", name || ""].join(" ").trim() || null;
}

/** Build the heads of a table; a head with a # in front is above numbers. */
export function headRow(heads) {
	const cells = heads.map((head) => el("th", { scope: "col", class: head.startsWith("#") ? "number" : null }, head.replace("#", "")));
	return el("thead", {}, el("tr", {}, cells));
}

/** Build a table that needs no sorting; keys say which rows are the same when it is drawn anew. */
export function plainTable(caption, heads, rows, keys = []) {
	const cellOf = (cell, index) => el("td", { class: heads[index].startsWith("#") ? "number" : "wrap" }, cell);
	return el(
		"section",
		{ class: "scroll", "aria-label": caption, "data-key": caption },
		el("h3", {}, caption),
		el("table", {}, headRow(heads), el("tbody", {}, rows.map((cells, index) => el("tr", { "data-key": keys[index] }, cells.map(cellOf))))),
	);
}
