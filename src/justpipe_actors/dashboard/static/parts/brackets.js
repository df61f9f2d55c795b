// What a join waited for, as a bracket before its bar: ├─ script ─┴──┤
// It goes from the end of the first of its parents to that of the last one, which it names.
import { duration } from "../base/format.js";

const HALF = 4; // height of its ends above and below the line
const SMALLEST = 3; // a shorter one is not drawn
const SPACE = 5; // beside the name

/** Write what a join waited for. */
export function joinText({ arrived, seconds }) {
	return `waited ${duration(seconds)} for ${arrived.at(-1).label}, the last of ${arrived.length}`;
}

/** Draw a bracket with a mark at each of some places, the first one first; return where it begins. */
export function drawBracket(context, marks, name, { y, least }) {
	const [from, to] = [marks[0], marks.at(-1)];
	if (to - from < SMALLEST) return to;
	const begin = Math.max(from, least);
	const width = context.measureText(name).width;
	const isInside = to - begin >= width + 6 * SPACE;
	const gap = isInside ? [begin + 2 * SPACE, begin + 4 * SPACE + width] : [begin, begin];
	context.beginPath();
	context.moveTo(from, y);
	context.lineTo(gap[0], y);
	context.moveTo(gap[1], y);
	context.lineTo(to, y);
	for (const place of marks) {
		const isEnd = place === from || place === to;
		if (!isEnd && place > gap[0] && place < gap[1]) continue; // behind the name
		context.moveTo(place, isEnd ? y - HALF : y);
		context.lineTo(place, y + HALF);
	}
	context.stroke();
	if (isInside) context.fillText(name, gap[0] + SPACE, y);
	const before = begin - width - SPACE;
	if (isInside || before < least) return begin;
	context.fillText(name, before, y);
	return before;
}
