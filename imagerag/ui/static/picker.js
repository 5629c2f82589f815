// Picks an image of a library, or of an earlier run.
import { attempt, newest, replace } from "./app.js";

const dialog = document.getElementById("picker");
const form = dialog.querySelector("form");
const picks = dialog.querySelector(".picks");
const listing = newest();  // the answer of one library may come after that of the next
let source = "runs";
let take = () => {};

async function find() {
  const query = new URLSearchParams({ text: form.text.value });
  if (source === "library") query.set("library", form.library.value);
  replace(picks, await listing(`/pick/${source}?${query}`));
}

/** Open the picker on "library" or "runs"; `taken` is called with the image that is picked. */
export function pick(from, taken) {
  source = from;
  take = taken;
  dialog.querySelector("[data-of-library]").hidden = from !== "library";
  form.text.value = "";
  picks.replaceChildren();
  dialog.showModal();
  attempt(null, find);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(form.querySelector("button"), find);
});
form.library.addEventListener("change", () => attempt(null, find));
dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
picks.addEventListener("click", (event) => {
  const button = event.target.closest("[data-image]");
  if (!button) return;
  take(JSON.parse(button.dataset.image));
  dialog.close();
});
