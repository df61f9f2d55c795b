// Why a run failed: the step, the error, the user's own frames, what came of it.
import { button, dim, el, remark } from "../base/dom.js";
import { counted, duration } from "../base/format.js";
import { jsonTree } from "./tree.js";

const SHOWN = 3;

/** Build the failure card of a run, null when nothing failed. */
export function failureCard(run, model, onshow, readState = null) {
	if (run.failures.length === 0) return run.error_message || run.status === "abandoned" ? plainCard(run) : null;
	const [first, ...others] = run.failures;
	const after = model.spans.filter((span) => span.first > first.seq && span.attempt === 1).map((span) => span.step);
	const pruned = run.diagnostics.map((one) => one.step);
	return el(
		"section",
		{ class: `card failure ${run.status === "failed" || run.status === "timeout" ? "" : "handled"}`, "aria-label": "Why it failed" },
		oneFailure(first, onshow, run),
		readState ? stateBefore(first, readState) : null,
		pruned.length ? el("p", {}, el("b", {}, "Did not run because of it: "), names(pruned)) : null,
		after.length ? remark("Began after the failure: ", names(after)) : null,
		others.slice(0, SHOWN).map((failure) => el("details", {}, el("summary", {}, `${failure.label}: ${headline(failure)}`), oneFailure(failure, onshow, run))),
		others.length > SHOWN ? remark(`and ${counted(others.length - SHOWN, "more failure")}, by time on the Events tab`) : null,
	);
}

function oneFailure(failure, onshow, run) {
	const tries = failure.attempt > 1 ? `, attempt ${failure.attempt}` : "";
	const handled = ["failed", "timeout"].includes(run.status) ? "" : "; the run went on";
	return el(
		"div",
		{},
		el("h2", {}, button(failure.label, () => onshow(failure), { class: "link" }), ` failed after ${duration(failure.at)}${tries}${handled}`),
		el("p", { class: "error mono" }, headline(failure)),
		traceback(failure),
	);
}

/** Offer the last state that was stored before the failure. */
function stateBefore(failure, readState) {
	const details = el("details", {}, el("summary", {}, "The state before it"));
	const read = async () => {
		const answer = await readState(failure.seq).catch((error) => ({ problem: error.message }));
		details.append(answer.problem ? remark(answer.problem) : jsonTree(answer.state, { open: 2 }));
	};
	details.addEventListener("toggle", read, { once: true });
	return details;
}

function headline(failure) {
	return failure.error_type ? `${failure.error_type}: ${failure.message}` : failure.message;
}

/** Show the user's frames; the frames of libraries between them are folded. */
function traceback(failure) {
	if (failure.frames.length === 0) return null;
	const parts = [];
	let library = [];
	const flush = () => {
		if (library.length === 0) return;
		parts.push(el("details", { class: "library" }, el("summary", {}, `${counted(library.length, "frame")} of libraries`), library.map(frame)));
		library = [];
	};
	for (const one of failure.frames) {
		if (one.note !== undefined || one.is_own) {
			flush();
			parts.push(one.note !== undefined ? remark(one.note) : frame(one));
		} else library.push(one);
	}
	flush();
	return el("div", { class: "traceback mono", role: "group", "aria-label": "Traceback" }, parts);
}

function frame(one) {
	const where = one.file.split(/[\\/]/).slice(-2).join("/");
	return el(
		"div",
		{ class: one.is_own ? "frame own" : "frame", title: one.file },
		el("div", {}, `${where}:${one.line} `, dim(`in ${one.name}`)),
		one.source ? el("div", { class: "source" }, one.source) : null,
	);
}

function plainCard(run) {
	const words = { abandoned: "The process that ran it is gone", cancelled: "Cancelled", timeout: "The run took too long" };
	return el(
		"section",
		{ class: `card failure ${run.status === "cancelled" ? "handled" : ""}`, "aria-label": "Why it ended" },
		el("h2", {}, run.error_step ? `${run.error_step} failed` : words[run.status] || run.status),
		el("p", { class: "error mono" }, run.error_message || ""),
	);
}

function names(list) {
	const unique = [...new Set(list)];
	const shown = unique.slice(0, 12).join(", ");
	return unique.length > 12 ? `${shown} and ${unique.length - 12} more` : shown;
}
