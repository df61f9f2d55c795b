// What differs between two runs, from their spans.  Pure.

/** Return figures of both runs by step, in the order in which the steps began. */
export function compareSteps(a, b) {
	const [left, right] = [a, b].map((model) => new Map(model.steps().map((step) => [step.step, step])));
	const names = [...new Set([...left.keys(), ...right.keys()])];
	return names.map((step) => {
		const [one, two] = [left.get(step) || null, right.get(step) || null];
		return {
			step,
			a: one,
			b: two,
			difference: (two ? two.total : 0) - (one ? one.total : 0),
			change: one === null ? "new" : two === null ? "removed" : one.runs !== two.runs ? "count" : one.failed !== two.failed ? "outcome" : null,
		};
	});
}

/** Return the first decision that differs: a step only one has, a count, or an outcome. */
export function firstDivergence(rows, a, b) {
	const begins = (model, step) => Math.min(...model.spans.filter((span) => span.step === step).map((span) => span.first));
	const order = (row) => Math.min(row.a ? begins(a, row.step) : Infinity, row.b ? begins(b, row.step) : Infinity);
	const isWrapper = (row) => rows.some((other) => other.change !== null && other.step.startsWith(`${row.step}:`));
	const changed = rows.filter((row) => row.change !== null && !isWrapper(row));
	return changed.sort((one, two) => order(one) - order(two))[0] || null;
}

/** Write how a pair of steps differs. */
export function changeText(row) {
	if (row.change === "new") return `only the second run ran ${row.step}`;
	if (row.change === "removed") return `only the first run ran ${row.step}`;
	if (row.change === "count") return `${row.step} ran ${row.a.runs} times, then ${row.b.runs} times`;
	if (row.change === "outcome") return `${row.step} ${outcome(row.a)} in the first run, and ${outcome(row.b)} in the second`;
	return "";
}

function outcome(step) {
	if (step.failed === 0) return "went well";
	return step.runs === 1 ? "failed" : `failed ${step.failed} of ${step.runs} times`;
}

/** Return the step that explains most of the difference. */
export function greatest(rows) {
	const leaves = rows.filter((row) => !rows.some((other) => other.step.startsWith(`${row.step}:`)));
	return leaves.reduce((best, row) => (Math.abs(row.difference) > Math.abs(best ? best.difference : 0) ? row : best), null);
}

/** Return the difference of two JSON values, as the server does. */
export function diffOf(before, after, path = [], found = { added: [], removed: [], changed: [] }) {
	const isPair = [before, after].every((value) => value !== null && typeof value === "object") && Array.isArray(before) === Array.isArray(after);
	if (!isPair) {
		if (JSON.stringify(before) !== JSON.stringify(after)) found.changed.push({ path, before, after });
		return found;
	}
	const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
	for (const name of keys) {
		const here = [...path, Array.isArray(before) ? Number(name) : name];
		if (!Object.hasOwn(before, name)) found.added.push({ path: here, after: after[name] });
		else if (!Object.hasOwn(after, name)) found.removed.push({ path: here, before: before[name] });
		else diffOf(before[name], after[name], here, found);
	}
	return found;
}
