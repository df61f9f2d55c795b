// Why a run waits, from one snapshot of the supervisor.
import { dim, el } from "../base/dom.js";
import { duration } from "../base/format.js";
import { runLink } from "./links.js";

const LONG = 3;

/** Return reasons as { text, tone, holder, since, where }, the most useful first. */
export function reasonsOf(run, data) {
	return [...inboxes(run, data), ...atWork(run), ...joins(run), ...consumer(run)];
}

/** Build one line for each reason; a dash when there is none. */
export function reasonsList(run, data) {
	const reasons = reasonsOf(run, data);
	if (reasons.length === 0) return dim("–");
	return reasons.map((reason) =>
		el(
			"div",
			{},
			el("span", { class: reason.tone }, reason.text),
			reason.holder ? [" ", runLink(reason.holder)] : null,
			reason.since !== undefined ? dim(` for ${duration(reason.since)}`) : null,
			reason.where ? [" ", el("code", { class: "dim", title: reason.where }, reason.where.split(/[\\/]/).at(-1))] : null,
		),
	);
}

/** A step has slots, others hold them, and this run's message waits in the inbox. */
function inboxes(run, data) {
	const working = new Set(stepsOf(run).map((step) => step.step));
	const found = [];
	for (const step of Object.keys(run.tokens)) {
		if (working.has(step)) continue;
		const actor = data.actors.find((one) => one.pipe === run.pipe && one.step === step && one.depth > 0);
		if (!actor) continue;
		const holder = actor.holders[0];
		const slots = actor.busy === 1 ? "its only slot is held by" : `its ${actor.busy} slots are held, longest by`;
		found.push(
			holder
				? { text: `in the inbox of ${step}: ${slots}`, tone: "wait", holder: holder[0], since: holder[1] }
				: { text: `in the inbox of ${step}`, tone: "wait" },
		);
	}
	return found;
}

function atWork(run) {
	return stepsOf(run).map((step) => ({
		text: step.step,
		tone: step.seconds > LONG && run.quiet > LONG ? "bad" : "run", // one that streams is well
		since: step.seconds,
		where: step.at || ownLine(step.where),
	}));
}

function joins(run) {
	return Object.entries(run.waiting).map(([join, missing]) => ({ text: `${join} waits for ${missing.join(", ")}`, tone: "dim" }));
}

function consumer(run) {
	return run.is_parked ? [{ text: "its consumer is behind", tone: "wait" }] : [];
}

function stepsOf(run) {
	return (run.stuck && run.stuck.steps) || [];
}

/** Return the deepest line that is not a library's. */
function ownLine(where) {
	const own = (where || []).filter((line) => !/site-packages|dist-packages|\/lib\/python3|\/justpipe_actors\//.test(line));
	return own.at(-1) || (where || []).at(-1) || "";
}
