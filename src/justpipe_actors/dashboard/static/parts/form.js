// A form from a JSON schema: texts, numbers, choices, dates, lists; else a field of JSON.
// What was typed is kept until it is sent.
import { button, dim, el, put } from "../base/dom.js";
import { keep, recall } from "../base/memory.js";

const DRAFTS = "sessionStorage";

/** Build a form; onanswer(value) gets what the fields say. */
export function formOf(schema, key, onanswer) {
	const form = resolved(schema, schema);
	const note = el("p", { class: "problem", role: "alert" });
	const draft = recall(key, DRAFTS);
	if (isChoice(form)) return choices(choicesOf(form), onanswer);
	const fields = form.type === "object" && form.properties ? fieldsOf(form, schema, draft) : [{ name: null, ...field(form, schema, form.title || "Answer", draft) }];
	const node = el(
		"form",
		{
			onsubmit: (event) => {
				event.preventDefault();
				try {
					const value = valueOf(fields);
					keep(key, null, DRAFTS);
					onanswer(value);
				} catch (error) {
					put(note, error.message);
				}
			},
			oninput: () => keep(key, draftOf(fields), DRAFTS),
		},
		fields.map((one) => one.node),
		note,
		el("button", { type: "submit", class: "primary" }, "Answer"),
	);
	return node;
}

function fieldsOf(form, root, draft) {
	const required = new Set(form.required || []);
	return Object.entries(form.properties).map(([name, part]) => {
		const one = field(resolved(part, root), root, part.title || name, draft && draft[name], required.has(name));
		return { name, isRequired: required.has(name), ...one };
	});
}

/** Build one labelled field: { node, read, raw }. */
function field(form, root, label, draft, isRequired = true) {
	const choice = choicesOf(form);
	const hint = form.description ? dim(form.description) : null;
	const initial = draft ?? form.default;
	const wrap = (input) => el("label", {}, el("span", {}, label, isRequired ? "" : dim(" (may be empty)")), input, hint);
	if (form.type === "boolean") {
		const input = el("input", { type: "checkbox", checked: initial === true });
		return { node: el("label", {}, el("span", {}, input, ` ${label}`), hint), read: () => input.checked, raw: () => input.checked };
	}
	if (choice) {
		const input = el("select", {}, isRequired ? null : el("option", { value: "" }, ""), choice.map((one, index) => el("option", { value: index, selected: one === initial }, String(one))));
		return { node: wrap(input), read: () => (input.value === "" ? undefined : choice[Number(input.value)]), raw: () => choice[Number(input.value)] };
	}
	const kind = { integer: "number", number: "number", string: form.format === "date" ? "date" : "text" }[form.type];
	if (kind) return plain(form, kind, initial, wrap, isRequired);
	const isList = form.type === "array" && ["string", "integer", "number"].includes(resolved(form.items || {}, root).type);
	return isList ? list(resolved(form.items, root), initial, wrap) : json(initial, wrap);
}

function plain(form, kind, initial, wrap, isRequired) {
	const isLong = kind === "text" && !(form.maxLength <= 120);
	const input = isLong
		? el("textarea", { rows: 2 }, initial ?? "")
		: el("input", { type: kind, step: form.type === "number" ? "any" : null, min: form.minimum, max: form.maximum, value: initial ?? "" });
	const read = () => {
		if (input.value === "" && !isRequired) return undefined;
		return kind === "number" ? number(input.value) : input.value;
	};
	return { node: wrap(input), read, raw: () => input.value };
}

function number(text) {
	if (text.trim() === "" || Number.isNaN(Number(text))) throw new Error(`“${text}” is no number.`);
	return Number(text);
}

function list(items, initial, wrap) {
	const input = el("textarea", { rows: 3, placeholder: "one on each line" }, Array.isArray(initial) ? initial.join("\n") : (initial ?? ""));
	const read = () =>
		input.value
			.split("\n")
			.filter((line) => line !== "")
			.map((line) => (items.type === "string" ? line : number(line)));
	return { node: wrap(input), read, raw: () => input.value };
}

function json(initial, wrap) {
	const text = typeof initial === "string" || initial === undefined ? initial || "" : JSON.stringify(initial, null, 1);
	const input = el("textarea", { rows: 4, class: "mono", placeholder: "JSON" }, text);
	const read = () => {
		try {
			return JSON.parse(input.value);
		} catch (error) {
			throw new Error(`This is no JSON: ${error.message}`);
		}
	};
	return { node: wrap(input), read, raw: () => input.value };
}

function valueOf(fields) {
	if (fields.length === 1 && fields[0].name === null) return fields[0].read();
	const value = {};
	for (const one of fields) {
		const part = one.read();
		if (part !== undefined) value[one.name] = part;
	}
	return value;
}

/** One question with few answers is a row of buttons. */
function choices(values, onanswer) {
	return el(
		"div",
		{ class: "choices", role: "group", "aria-label": "Answers" },
		values.map((value) => button(value === true ? "Yes" : value === false ? "No" : String(value), () => onanswer(value))),
	);
}

function isChoice(form) {
	return choicesOf(form) !== null && form.type !== "object";
}

function choicesOf(form) {
	if (Array.isArray(form.enum)) return form.enum;
	if (form.type === "boolean") return [true, false];
	const parts = form.anyOf || form.oneOf;
	return Array.isArray(parts) && parts.every((one) => "const" in one) ? parts.map((one) => one.const) : null;
}

function resolved(form, root) {
	if (typeof form.$ref !== "string" || !form.$ref.startsWith("#/")) return form;
	return form.$ref.slice(2).split("/").reduce((found, part) => (found && found[part]) || {}, root);
}

/** Return what the fields say now, valid or not. */
function draftOf(fields) {
	const isOne = fields.length === 1 && fields[0].name === null;
	return isOne ? fields[0].raw() : Object.fromEntries(fields.map((one) => [one.name, one.raw()]));
}
