// The form that starts a run: what it sends, what that can cost, and what survives a reload.
import { attempt, leave, replace, request } from "./app.js";
import { showEstimate } from "./estimate.js";
import { Sources } from "./sources.js";

const KEY = "imagerag.draw";
const PAUSE_MS = 350;
const form = document.getElementById("draw");
const estimate = document.getElementById("estimate");
const texts = JSON.parse(document.getElementById("draw-texts").textContent);
const sources = new Sources(document.getElementById("sources"), texts, changed);
let timer;

/** The fields that are not as they come, by name: texts, and of boxes whether they are ticked. */
function fields() {
  const named = [...form.querySelectorAll("[name][data-kind], #prompt")];
  return Object.fromEntries(named.map((one) => [one.name, one.type === "checkbox" ? one.checked : one.value]));
}

function libraries() {
  return [...form.querySelectorAll("[name=library]:checked")].map((one) => one.value);
}

/** The value of a field as the server takes it; undefined for one that is as it comes. */
function valueOf(field) {
  if (field.type === "checkbox") return field.checked || undefined;
  const text = field.value.trim();
  if (!text) return undefined;
  if (field.dataset.kind === "number") return Number(text);
  if (field.dataset.kind === "threshold") return text === "auto" || text === "off" || Number.isNaN(Number(text)) ? text : Number(text);
  if (field.dataset.kind === "list") return text.split(",").map((one) => one.trim()).filter(Boolean);
  return text;
}

function body() {
  const values = Object.fromEntries([...form.querySelectorAll("[data-kind]")].map((one) => [one.name, valueOf(one)]));
  return { ...values, prompt: form.prompt.value, library: libraries().join(","), ...sources.body() };
}

function save() {
  const saved = { fields: fields(), libraries: libraries(), sources: sources.saved() };
  sessionStorage.setItem(KEY, JSON.stringify(saved));
}

function fill(saved) {
  for (const [name, value] of Object.entries(saved.fields)) {
    const field = form.querySelector(`[name="${CSS.escape(name)}"]`);
    if (field?.type === "checkbox") field.checked = value;
    else if (field) field.value = value;
  }
  for (const box of form.querySelectorAll("[name=library]")) box.checked = saved.libraries.includes(box.value);
  sources.restore(saved.sources);
}

/** Fill the form with what was saved when the page was left, and with what the address says. */
function restore() {
  try {
    const saved = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    if (saved) fill(saved);
  } catch {
    sessionStorage.removeItem(KEY);  // of another version
  }
  const query = new URLSearchParams(location.search);
  if (query.has("prompt")) form.prompt.value = query.get("prompt");
  const library = query.get("library") ?? "";
  for (const box of library ? form.querySelectorAll("[name=library]") : []) if (box.value === library) box.checked = true;
  if (query.has("reference")) sources.add({ sha256: query.get("reference"), library, use: query.get("use") ?? "subject" });
  if (location.search) history.replaceState(null, "", location.pathname);
}

/** Say beside each folded group how many of its fields are not as they come. */
function count() {
  for (const fold of form.querySelectorAll("details.fold")) {
    const set = [...fold.querySelectorAll("[data-kind]")].filter((one) => valueOf(one) !== undefined).length;
    fold.querySelector(".changed").textContent = set ? texts.changed.replace("{n}", set) : "";
  }
}

function changed() {
  form.prompt.setCustomValidity(form.prompt.value.trim() ? "" : texts.empty);
  save();
  count();
  clearTimeout(timer);
  timer = setTimeout(() => showEstimate(estimate, "/estimate", body()), PAUSE_MS);
}

async function start() {
  const run = await request("/runs", { method: "POST", body: body() });
  await leave(run.address);
}

form.addEventListener("input", changed);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(form.querySelector("button[type=submit]"), start);
});
form.prompt.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
document.getElementById("clear").addEventListener("click", () => {
  sessionStorage.removeItem(KEY);
  location.reload();
});

form.addEventListener("click", ({ target }) => {
  if (!target.dataset?.check) return;
  const verdict = target.closest("li").querySelector(".verdict");
  verdict.hidden = false;
  verdict.textContent = texts.checking;
  attempt(target, async () => replace(verdict, await request(`/pick/check?library=${encodeURIComponent(target.dataset.check)}`)))
    .then(() => { if (verdict.textContent === texts.checking) verdict.hidden = true; });
});

// What references can be filtered by is looked up when somebody wants to filter.
const filters = document.getElementById("filter").closest("details");
filters.addEventListener("toggle", async () => {
  const [library] = libraries();
  if (!filters.open || !library) return;
  const values = await attempt(null, () => request(`/pick/values?library=${encodeURIComponent(library)}`));
  for (const [key, words] of Object.entries(values ?? {})) {
    document.getElementById(key).replaceChildren(...words.map((word) => new Option(word, word)));
  }
});

restore();
changed();
