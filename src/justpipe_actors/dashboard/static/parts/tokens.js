// What the steps streamed, as text; it follows the end until one scrolls up.
import { el, put, remark } from "../base/dom.js";
import { get } from "../base/api.js";
import { labelOf, CELL } from "./model.js";
import { textOf } from "./events.js";

const MOST = 5000;

export class Tokens {
	constructor(run) {
		this.path = `api/runs/${encodeURIComponent(run.run_id)}/events`;
		this.blocks = new Map();
		this.seen = 0;
		this.early = []; // what the stream says before the stored tokens are there
		this.node = el("div", { class: "tokens scroll tall", tabindex: "0", role: "region", "aria-label": "Streamed text" });
	}

	async load() {
		const page = await get(this.path, { type: "token", limit: MOST, payload: "cut" });
		for (const event of page.events) this.add(event.seq, event.invocation_id, labelOf(event.step_name, event.scope), event.payload);
		if (page.next !== null) this.node.append(remark(`Only the first ${MOST} tokens are shown.`));
		const early = this.early;
		this.early = null;
		this.hear(early);
		if (this.blocks.size === 0) put(this.node, el("p", { class: "dim pad" }, "No step streamed anything."));
	}

	/** Take events of a stream. */
	hear(rows) {
		if (this.early) {
			this.early.push(...rows.filter((row) => row[CELL.type] === "token"));
			return;
		}
		const isAtEnd = this.node.scrollTop + this.node.clientHeight >= this.node.scrollHeight - 20;
		for (const row of rows) {
			if (row[CELL.type] === "token") this.add(row[CELL.seq], row[CELL.invocation], labelOf(row[CELL.stage], row[CELL.scope]), row[CELL.payload]);
		}
		if (isAtEnd) this.node.scrollTop = this.node.scrollHeight;
	}

	add(seq, invocation, label, payload) {
		if (seq <= this.seen) return;
		this.seen = seq;
		let block = this.blocks.get(invocation);
		if (!block) {
			if (this.blocks.size === 0) put(this.node);
			block = el("pre");
			this.blocks.set(invocation, block);
			this.node.append(el("section", {}, el("h3", {}, label), block));
		}
		block.append(textOf(payload));
	}
}
