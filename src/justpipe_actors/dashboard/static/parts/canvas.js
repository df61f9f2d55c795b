// What drawings on a canvas need: the colours of the theme, names that fit, hatching.
import { el } from "../base/dom.js";

const NAMES = ["text", "dim", "line", "card", "sunken", "picked", "ok", "bad", "run", "wait", "off"];

/** Return the colours of the theme in use; a canvas cannot read variables by itself. */
export function colours(node) {
	const probe = el("span", { hidden: true });
	node.append(probe);
	const found = {};
	for (const name of NAMES) {
		probe.style.color = `var(--${name})`;
		found[name] = getComputedStyle(probe).color;
	}
	probe.remove();
	return found;
}

/** Cut the beginning of a name: names of one pipe differ in their ends. */
export function clipped(context, text, width) {
	if (context.measureText(text).width <= width) return text;
	let short = text.slice(Math.max(0, text.lastIndexOf(":")));
	if (context.measureText(`…${short}`).width > width) short = text;
	while (short.length > 1 && context.measureText(`…${short}`).width > width) short = short.slice(1);
	return `…${short}`;
}

/** Hatch a part that is already filled. */
export function hatch(context, x, y, width, height, colour) {
	const lean = height + 8; // the strokes begin above and end below
	context.save();
	context.beginPath();
	context.rect(x, y, width, height);
	context.clip();
	context.strokeStyle = colour;
	context.lineWidth = 1.5;
	for (let step = x - lean; step < x + width; step += 6) {
		context.beginPath();
		context.moveTo(step, y + lean);
		context.lineTo(step + lean, y - 4);
		context.stroke();
	}
	context.restore();
}
