// An address that leads nowhere.
import { showProblem } from "../base/frame.js";

export function show(main) {
	showProblem(main, { status: 404, message: `There is no page at ${location.pathname}.` });
}
