// What a page shows where something failed: why, and a button that tries it again.
import { button, el, put } from "./dom.js";
import { redraw } from "./redraw.js";

/** Build the text of a problem, and the button. */
export function problem(text, again) {
	return [el("span", { class: "problem", role: "alert" }, text), " ", button("Try again", again)];
}

/** Do something; if it fails, say so in a place, until it works.  Return whether it worked. */
export async function attempt(place, failure, action) {
	try {
		await action();
	} catch (error) {
		place.dataset.failure = failure; // another action may fail in the same place
		redraw(place, problem(`${failure}: ${error.message}`, () => attempt(place, failure, action)));
		return false;
	}
	if (place.dataset.failure === failure) put(place);
	return true;
}
