// Goes through a run in time: the same statuses as live, at any moment.
import { button, el } from "../base/dom.js";
import { duration } from "../base/format.js";

const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 5, 10];

export class Replay {
	/** onmove(t) shows a moment; null is the end. */
	constructor(model, onmove) {
		this.model = model;
		this.onmove = onmove;
		this.playing = null;
		this.slider = el("input", { type: "range", min: "0", max: "1000", value: "1000", "aria-label": "Moment of the run", oninput: () => this.seek() });
		this.time = el("span", { class: "number" });
		this.button = button("Replay", () => this.toggle());
		this.speed = el("select", { "aria-label": "Speed" }, SPEEDS.map((n) => el("option", { value: n, selected: n === 1 }, `${n}×`)));
		this.node = el("div", { class: "replay" }, this.button, this.slider, this.time, this.speed);
		this.slider.addEventListener("keydown", (event) => this.key(event));
		this.write();
	}

	get t() {
		return (Number(this.slider.value) / 1000) * this.model.total;
	}

	set t(value) {
		this.slider.value = String(Math.ceil((value / this.model.total) * 1000)); // not before what is shown
	}

	write() {
		this.time.textContent = `${duration(this.t)} of ${duration(this.model.total)}`;
		this.slider.setAttribute("aria-valuetext", this.time.textContent);
	}

	seek() {
		this.write();
		this.onmove(Number(this.slider.value) >= 1000 ? null : this.t);
	}

	toggle() {
		if (this.playing) {
			this.pause();
			return;
		}
		if (Number(this.slider.value) >= 1000) this.t = 0;
		this.button.textContent = "Pause";
		let before = performance.now();
		let at = this.t;
		const step = (now) => {
			if (!this.playing) return;
			at += ((now - before) / 1000) * Number(this.speed.value);
			before = now;
			this.t = Math.min(at, this.model.total);
			this.seek();
			if (at >= this.model.total) this.pause();
			else this.playing = requestAnimationFrame(step);
		};
		this.playing = requestAnimationFrame(step);
	}

	pause() {
		cancelAnimationFrame(this.playing);
		this.playing = null;
		this.button.textContent = "Replay";
	}

	/** Space plays; the arrows go from one start or end to the next. */
	key(event) {
		if (event.key === " ") this.toggle();
		else if (event.key === "ArrowRight" || event.key === "ArrowLeft") this.jump(event.key === "ArrowRight" ? 1 : -1);
		else return;
		event.preventDefault();
	}

	jump(sign) {
		const now = this.t;
		const width = this.model.total / 1000;
		const moments = this.model.spans.flatMap((span) => [span.start, span.end ?? this.model.total]).sort((a, b) => a - b);
		const next = sign > 0 ? moments.find((t) => t > now + width) : moments.findLast((t) => t < now - width);
		this.t = next ?? (sign > 0 ? this.model.total : 0);
		this.seek();
	}
}
