// One image of a library: change what is known of it, remove it, look at similar ones.
import { attempt, fragment, request, tell, text as common } from "./app.js";
import { askToRemove, text } from "./library_texts.js";

const root = document.getElementById("image");
const { address, id } = root.dataset;
const form = document.getElementById("known");
const own = `${address}/images/${id}`;
const FIELDS = ["title", "caption", "licence", "author", "source"];

function changes() {
  const body = { set: {}, unset: [], shown: {} };
  for (const field of FIELDS) {
    const { value, defaultValue } = form.elements[field];
    if (value === defaultValue) continue;
    body[field] = value;
    body.shown[field] = defaultValue;
  }
  const { tags } = form.elements;
  if (tags.value !== tags.defaultValue) {
    body.tags = tags.value.split(",");
    body.shown_tags = tags.defaultValue.split(",");
  }
  const key = form.elements.key.value.trim();
  if (key) body.set[key] = scalar(form.elements.value.value);
  return body;
}

/** A number or true or false is one, as on the command line; everything else is text. */
function scalar(written) {
  return /^(-?\d+(\.\d+)?|true|false)$/.test(written.trim()) ? JSON.parse(written) : written;
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(form.querySelector("[type=submit]"), async () => {
    const body = changes();
    if (Object.keys(body).length === 3 && !Object.keys(body.set).length) return tell(common("saved"));
    await request(own, { method: "POST", body }).catch((error) => {
      // What they say now was told: saving again is meant.
      for (const [field, now] of Object.entries(error.content?.meanwhile ?? {})) form.elements[field].defaultValue = now;
      throw error;
    });
    for (const field of [...FIELDS, "tags"]) form.elements[field].defaultValue = form.elements[field].value;
    tell("caption" in body ? `${common("saved")}. ${text("image.caption_later")}` : common("saved"));
    if (Object.keys(body.set).length) location.reload();
    return undefined;
  });
});

root.addEventListener("click", ({ target }) => {
  if (target.matches("[data-unset]")) {
    attempt(target, async () => {
      await request(own, { method: "POST", body: { unset: [target.dataset.unset] } });
      location.reload();
    });
  }
  if (target.id === "copy-credits") {
    attempt(target, async () => {
      await navigator.clipboard.writeText(document.getElementById("credits").textContent.trim());
      tell(text("image.copied"));
    });
  }
});

document.getElementById("remove")?.addEventListener("click", ({ target }) => attempt(target, async () => {
  if (!await askToRemove(address, { ids: [id] }, text("image.remove_title"))) return;
  await request(`${address}/remove`, { method: "POST", body: { ids: [id] } });
  location.assign(address);
}));

const similar = document.getElementById("similar");
if (similar) {
  request(`${address}/found?${new URLSearchParams({ image: id, without: id, k: 13 })}`).then((html) => {
    similar.replaceChildren(...fragment(html));
    similar.querySelectorAll(".summary, [data-more]").forEach((one) => one.remove());
  }, (error) => { similar.textContent = error.message; }).finally(() => similar.setAttribute("aria-busy", "false"));
}
