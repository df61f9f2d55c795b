// What differs between two versions of a pipeline.
import { el, remark } from "../base/dom.js";
import { get } from "../base/api.js";

/** Return the steps that were added, removed and changed between two descriptions.  Pure. */
export function differencesOf(before, after) {
	const [old, now] = [before, after].map((one) => one.nodes || {});
	const options = (node) => Object.entries(node).filter(([name]) => name !== "targets");
	const changes = (name) => {
		const [one, two] = [old[name], now[name]];
		const found = [];
		const [from, to] = [one, two].map((node) => (node.targets || []).join(", ") || "nothing");
		if (from !== to) found.push(`leads to ${to} instead of ${from}`);
		const keys = new Set([...options(one), ...options(two)].map(([key]) => key));
		for (const key of keys) {
			const [a, b] = [one[key], two[key]].map((value) => JSON.stringify(value) ?? "none");
			if (a !== b) found.push(`${key.replaceAll("_", " ")} ${b} instead of ${a}`);
		}
		return found;
	};
	return {
		added: Object.keys(now).filter((name) => !Object.hasOwn(old, name)),
		removed: Object.keys(old).filter((name) => !Object.hasOwn(now, name)),
		changed: Object.keys(now).filter((name) => Object.hasOwn(old, name)).map((name) => [name, changes(name)]).filter(([, found]) => found.length),
	};
}

/** Build a list of what differs. */
export function versionList({ added, removed, changed }) {
	const line = (word, sign, ...parts) => el("li", { class: word }, el("span", { class: "sign", "aria-label": word }, sign), parts);
	const lines = [
		...added.map((name) => line("added", "+", name)),
		...removed.map((name) => line("removed", "−", name)),
		...changed.map(([name, found]) => line("changed", "~", el("b", {}, name), ` ${found.join("; ")}`)),
	];
	if (lines.length === 0) return remark("The same steps with the same options; hooks, metadata or the state differ.");
	return el("ul", { class: "diff" }, lines);
}

/** Read two versions, { hash, fingerprint } each, and build the list of what differs. */
export async function compareVersions(before, after) {
	const read = ({ hash, fingerprint }) => get(`api/pipelines/${encodeURIComponent(hash)}/definition`, { fingerprint });
	try {
		return versionList(differencesOf(...(await Promise.all([before, after].map(read)))));
	} catch (error) {
		return remark(error.message);
	}
}
