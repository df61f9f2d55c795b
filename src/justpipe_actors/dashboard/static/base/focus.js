// Keeps the focus where it is while parts of a page are drawn anew.
const FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex]";

/** Draw a part of the page anew; if the focus is in it, it goes on to the element that takes the same place. */
export function keepFocus(part, draw) {
	const focused = document.activeElement;
	const place = part !== focused && part.contains(focused) ? placeOf(focused, part) : null;
	draw();
	if (place && document.activeElement !== focused) focusPlace(place, part);
}

/** Show a dialog; once it is closed the focus goes back, also to what was drawn anew behind the dialog. */
export function showDialog(dialog) {
	const focused = document.activeElement;
	const place = placeOf(focused, document);
	dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
	dialog.addEventListener("close", () => {
		dialog.remove();
		if (!focused.isConnected) focusPlace(place, document);
	});
	document.body.append(dialog);
	dialog.showModal();
}

/** Describe an element by the key of its row, if it has one, its name, and which of that name it is. */
function placeOf(node, part) {
	const row = node.closest("[data-key]");
	const key = row && row.dataset.key;
	const name = nameOf(node);
	return { key, name, rank: named(name, key ? row : part).indexOf(node) };
}

function focusPlace({ key, name, rank }, part) {
	const row = key ? part.querySelector(`[data-key="${CSS.escape(key)}"]`) : part;
	const node = row && (named(name, row)[rank] || (key && row));
	if (node) node.focus();
}

function named(name, part) {
	return [part, ...part.querySelectorAll(FOCUSABLE)].filter((node) => node.tagName && nameOf(node) === name);
}

/** Name an element by its label or its text; the numbers in it may change. */
function nameOf(node) {
	return `${node.tagName} ${node.id || node.getAttribute("aria-label") || node.textContent.replace(/[\d.,]+/g, "")}`;
}
