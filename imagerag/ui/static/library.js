// One library: its images, search and filters.
import { attempt, fragment, make, request, tell, upload } from "./app.js";
import { suggest } from "./library_filter.js";
import { Grid, partsOf, told } from "./library_grid.js";
import "./library_tasks.js";
import { askToRemove, text } from "./library_texts.js";

const root = document.getElementById("library");
const { address } = root.dataset;
const form = document.getElementById("search");
const images = document.getElementById("images");
const count = document.getElementById("count");
const query = new URLSearchParams(location.search);
const isSearch = Boolean(query.get("q")?.trim() || query.get("image"));

suggest(document.getElementById("filter"), document.getElementById("suggestions"), address);

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const sent = new URLSearchParams([...new FormData(form)].filter(([, value]) => typeof value === "string" && value.trim()));
  if (sent.get("order") === "newest") sent.delete("order");
  location.assign(sent.size ? `${address}?${sent}` : address);
});

function failed(error) {
  images.replaceChildren(Object.assign(make("p", { className: "error filter-error" }, error.message), { role: "alert" }));
  count.textContent = "";
  images.setAttribute("aria-busy", "false");
}

async function search(k) {
  count.textContent = text("searching");
  const sent = new URLSearchParams(query);
  if (k) sent.set("k", k);
  try {
    const html = await request(`${address}/found?${sent}`);
    images.replaceChildren(...fragment(html));
    count.replaceChildren(...(images.querySelector(".summary")?.childNodes ?? []));
    images.querySelector(".summary")?.remove();
    images.setAttribute("aria-busy", "false");
  } catch (error) {
    failed(error);
  }
}

let grid;
async function browse() {
  images.className = "grid";
  grid ??= new Grid(images, partsOf(address, { filter: query.get("filter") ?? "", order: query.get("order") ?? "newest" }), (part) => {
    count.textContent = told(part.total);
    if (!part.total) empty(part.no_match);
    else if (query.get("filter")) count.append(" ", removeButton(part.total));
  });
  try {
    await grid.load();
    if (!grid.total) images.replaceChildren(note);
    images.setAttribute("aria-busy", "false");
  } catch (error) {
    failed(error);
  }
}

const note = make("p", { className: "nothing" });
function empty(why) {
  note.textContent = query.get("filter") ? why || text("nothing_matches") : text("nothing_here");
}

function removeButton(total) {
  const button = make("button", { type: "button", className: "small" }, text("remove_matching"));
  button.hidden = !document.getElementById("add");
  button.addEventListener("click", () => attempt(button, async () => {
    const filter = query.get("filter");
    if (!await askToRemove(address, { filter })) return;
    const done = await request(`${address}/remove`, { method: "POST", body: { filter } });
    tell(text("removed", { n: done.images }));
    document.dispatchEvent(new CustomEvent("library-changed"));
  }));
  return button;
}

images.addEventListener("click", ({ target }) => {
  if (target.matches("[data-more]")) attempt(target, () => search(target.dataset.more));
});
document.addEventListener("library-changed", () => { if (!isSearch) browse(); });
document.addEventListener("visibilitychange", () => {  // another tab or process may have changed it meanwhile
  if (!isSearch && document.visibilityState === "visible") grid.refresh().catch(failed);
});

// The picture to search with: chosen, dropped onto the field, or pasted into it.
const hidden = form.elements.image;
const shown = document.getElementById("search-image");
const chooser = document.getElementById("image-file");
const chosen = document.querySelector(".by-picture");

async function use(file) {
  const kept = await upload(file);
  hidden.value = kept.sha256;
  hidden.disabled = false;
  shown.src = `${kept.address}?side=96`;
  shown.hidden = document.getElementById("remove-image").hidden = false;
  form.requestSubmit();
}

document.getElementById("choose-image").addEventListener("click", () => chooser.click());
chooser.addEventListener("change", () => { if (chooser.files[0]) attempt(null, () => use(chooser.files[0])); });
document.getElementById("remove-image").addEventListener("click", () => {
  hidden.disabled = true;
  form.requestSubmit();
});
form.addEventListener("dragover", (event) => { event.preventDefault(); event.stopPropagation(); chosen.classList.add("over"); });
form.addEventListener("dragleave", () => chosen.classList.remove("over"));
form.addEventListener("drop", (event) => {
  event.preventDefault();
  event.stopPropagation();
  chosen.classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) attempt(null, () => use(file));
});
form.addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (!file) return;
  event.preventDefault();
  event.stopPropagation();
  attempt(null, () => use(file));
});

if (isSearch) search();
else browse();
