// Asks the server; addresses are relative to the place where the dashboard is mounted.

/** An answer that is no success. */
export class ApiError extends Error {
	constructor(status, body) {
		super(body.detail || `The server answered ${status}.`);
		this.status = status;
		this.code = body.code || "unknown";
		this.candidates = body.candidates || [];
	}
}

/** Return the whole address of a path, with parameters; those that are empty are left out. */
export function address(path, parameters = {}) {
	const url = new URL(path, document.baseURI);
	for (const [key, value] of Object.entries(parameters)) {
		for (const one of Array.isArray(value) ? value : [value]) {
			if (one !== null && one !== undefined && one !== "") url.searchParams.append(key, one);
		}
	}
	return url;
}

/** Ask for data. */
export async function get(path, parameters = {}) {
	return read(await request(address(path, parameters), { headers: { accept: "application/json" } }));
}

/** Ask for text. */
export async function getText(path, parameters = {}) {
	const response = await request(address(path, parameters));
	if (!response.ok) return read(response);
	return response.text();
}

/** Do something; the header keeps other pages from doing it. */
export async function post(path, body) {
	const headers = { "content-type": "application/json", "x-justpipe": "1" };
	return read(await request(address(path), { method: "POST", headers, body: JSON.stringify(body) }));
}

/** Send a request; browsers word it differently when no reply comes. */
async function request(url, options) {
	try {
		return await fetch(url, options);
	} catch {
		throw new ApiError(0, { detail: "The server cannot be reached.", code: "unreachable" });
	}
}

async function read(response) {
	const text = await response.text();
	let body;
	try {
		body = JSON.parse(text);
	} catch {
		body = { detail: text.slice(0, 500) };
	}
	if (!response.ok) throw new ApiError(response.status, body);
	return body;
}
