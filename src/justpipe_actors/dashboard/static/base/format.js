// How values are written; the same rules as on the command line.

/** Write a duration: 400ms, 30.5s, 2.0m, 2.0h; a dash for what is not known. */
export function duration(seconds) {
	if (seconds === null || seconds === undefined) return "-";
	const value = Math.abs(seconds);
	if (seconds < 0) return `-${duration(value)}`;
	const ms = Math.round(value * 1000);
	if (ms < 1000) return `${ms}ms`;
	if (Math.round(value * 10) < 600) return `${value.toFixed(1)}s`;
	if (Math.round(value / 6) < 600) return `${(value / 60).toFixed(1)}m`;
	return `${(value / 3600).toFixed(1)}h`;
}

/** Write a signed difference of durations. */
export function difference(seconds) {
	return `${seconds < 0 ? "−" : "+"}${duration(Math.abs(seconds))}`;
}

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const YEAR = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const ZONE = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" });

/** Name the zone that moments are shown in. */
export function zone() {
	const part = ZONE.formatToParts(new Date()).find((one) => one.type === "timeZoneName");
	return part ? part.value : "";
}

/** Write a moment in local time; the day is left out when it is today. */
export function moment(iso, now = new Date()) {
	if (!iso) return "-";
	const at = typeof iso === "number" ? new Date(iso * 1000) : new Date(iso);
	if (Number.isNaN(at.getTime())) return String(iso);
	if (at.toDateString() === now.toDateString()) return CLOCK.format(at);
	const day = at.getFullYear() === now.getFullYear() ? DAY : YEAR;
	return `${day.format(at)}, ${CLOCK.format(at)}`;
}

/** Write how long ago something was. */
export function age(iso, now = Date.now()) {
	const seconds = (now - new Date(iso).getTime()) / 1000;
	if (seconds < 5) return "now";
	if (seconds < 90) return `${Math.round(seconds)} s ago`;
	if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
	if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
	return `${Math.round(seconds / 86400)} d ago`;
}

/** Write a number with separators. */
export function count(value) {
	return value.toLocaleString("en-US");
}

/** Write how many of something: 1 run, 2 runs. */
export function counted(value, noun) {
	return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** Write a size in characters. */
export function size(characters) {
	if (characters < 1000) return `${characters} B`;
	if (characters < 1e6) return `${(characters / 1000).toFixed(1)} kB`;
	return `${(characters / 1e6).toFixed(1)} MB`;
}

/** Return the first 8 characters of an id, or all of a short one, which was chosen by hand. */
export function short(id) {
	return id.length <= 20 ? id : id.slice(0, 8);
}

const INCARNATION = 2 ** 40;

/** Write an event's number: 15, or 2·15 in the second process that had the run. */
export function sequence(seq) {
	return seq < INCARNATION ? String(seq) : `${Math.floor(seq / INCARNATION) + 1}·${seq % INCARNATION}`;
}

/** Return the first line of a text. */
export function firstLine(text) {
	return String(text ?? "").split("\n", 1)[0];
}

/** Return tick values from 0 to a number of seconds: 1, 2 or 5 times a power of ten. */
export function ticks(total, most = 7) {
	if (!(total > 0)) return [0];
	const rough = total / most;
	const power = 10 ** Math.floor(Math.log10(rough));
	const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
	const found = [];
	for (let n = 0; n * step <= total * 1.0001; n += 1) found.push(n * step);
	return found;
}

/** Return the median and others of a sorted list. */
export function quantile(sorted, share) {
	return sorted.length ? sorted[Math.round((sorted.length - 1) * share)] : null;
}
