// What a browser keeps; one that keeps nothing forgets it with the page.

/** Return what was kept, null when nothing was. */
export function recall(key, place = "localStorage") {
	try {
		return JSON.parse(globalThis[place].getItem(key));
	} catch {
		return null;
	}
}

/** Keep a value; null forgets it. */
export function keep(key, value, place = "localStorage") {
	try {
		if (value === null) globalThis[place].removeItem(key);
		else globalThis[place].setItem(key, JSON.stringify(value));
	} catch {
		// this browser keeps nothing
	}
}
