// A table that is sorted by its headers and walked with j and k.
import { el, put } from "./dom.js";
import { isTyping } from "./frame.js";

/**
 * columns: [{ key, label, cell(row), value(row), number, wide, title }]
 * options: { label, key(row), href(row), onselect(row), empty }
 */
export class Table {
  constructor(columns, options = {}) {
    this.columns = columns;
    this.options = options;
    this.rows = [];
    this.sort = null;
    this.body = el("tbody");
    this.head = el("tr");
    this.node = el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": options.label || "Table" },
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

  draw() {
    const focused = this.body.contains(document.activeElement) ? document.activeElement.closest("tr").dataset.key : null;
    const rows = this.sort ? this.sorted() : this.rows;
    put(this.body, rows.map((row) => this.row(row)));
    if (rows.length === 0 && this.options.empty) {
      put(this.body, el("tr", {}, el("td", { colspan: this.columns.length, class: "dim" }, this.options.empty)));
    }
    if (focused !== null) this.focus([...this.body.rows].find((one) => one.dataset.key === focused));
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
    put(
      this.head,
      this.columns.map((column) => {
        const state = this.sort && this.sort.column === column ? (this.sort.sign > 0 ? "ascending" : "descending") : null;
        const button = column.fixed
          ? column.label
          : el("button", { type: "button", class: "sort", onclick: () => this.sortBy(column) }, column.label);
        const name = [column.number ? "number" : "", column.class || ""].join(" ").trim();
        return el("th", { scope: "col", class: name || null, "aria-sort": state, title: column.title }, button);
      }),
    );
  }

  sortBy(column) {
    const same = this.sort && this.sort.column === column;
    if (same && this.sort.sign === (column.number ? 1 : -1)) this.sort = null;
    else this.sort = { column, sign: same ? -this.sort.sign : column.number ? -1 : 1 };
    this.drawHead();
    this.draw();
    if (this.node.isConnected) this.head.querySelectorAll("th")[this.columns.indexOf(column)].querySelector("button").focus();
  }

  row(row) {
    const key = this.options.key ? this.options.key(row) : "";
    const cells = this.columns.map((column) => {
      const content = column.cell ? column.cell(row) : (row[column.key] ?? "-");
      const name = [column.number ? "number" : "", column.class || ""].join(" ").trim();
      return el("td", { class: name || null, "data-column": column.key }, content);
    });
    const isSelected = this.options.isSelected && this.options.isSelected(row);
    return el("tr", { "data-key": key, tabindex: this.options.href ? "-1" : null, class: isSelected ? "selected" : null }, cells);
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
