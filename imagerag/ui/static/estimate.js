// What the next click can cost: fetched, and put where it stands.
import { make, replace, request } from "./app.js";

const waiting = new WeakMap();

/** Show what a click can cost in an element: the part of a page at an address, for a body where there is one. A later
 * call for the same element takes the place of an earlier one. Resolves to whether it could be said. */
export async function showEstimate(element, address, body) {
  waiting.get(element)?.abort();
  const controller = new AbortController();
  waiting.set(element, controller);
  element.setAttribute("aria-busy", "true");
  const options = body === undefined ? {} : { method: "POST", body };
  try {
    replace(element, await request(address, { ...options, signal: controller.signal }));
    return true;
  } catch (error) {
    if (error.name === "AbortError") return false;
    element.replaceChildren(make("p", { className: "note" }, error.message));
    return false;
  } finally {
    if (waiting.get(element) === controller) element.removeAttribute("aria-busy");
  }
}

/** Show all estimates that a part of a page has room for: `<div data-estimate="ADDRESS">`. */
export function showEstimates(root) {
  for (const element of root.querySelectorAll("[data-estimate]")) {
    if (element.dataset.shown === element.dataset.estimate) continue;
    element.dataset.shown = element.dataset.estimate;
    showEstimate(element, element.dataset.estimate);
  }
}
