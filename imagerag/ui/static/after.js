// What a finished run offers: forms that open when they are wanted, what they can cost, and the removal of the run.
import { attempt, fragment, leave, newest, request } from "./app.js";
import { showEstimate } from "./estimate.js";
import { letMark } from "./favourite.js";
import { removeRuns } from "./removal.js";

const page = document.getElementById("run");
const address = `/runs/${encodeURIComponent(page.dataset.run)}`;
const KEY = `imagerag.after.${page.dataset.run}`;
const NUMBERS = new Set(["more_rounds", "seed", "max_calls", "max_cost_usd", "assume_cost_usd_per_call", "deadline_s", "step"]);

/** What a form says, as the server takes it; what is as it was is left out. */
function bodyOf(form) {
  const body = {};
  for (const field of form.elements) {
    if (!field.name || field.value === "") continue;
    if (field.type === "checkbox") { if (field.checked) body[field.name] = true; continue; }
    if (field.dataset.original?.trim() === field.value.trim()) continue;
    body[field.name] = NUMBERS.has(field.name) ? Number(field.value) : field.value;
  }
  for (const choice of form.querySelectorAll("[data-choice]")) {
    if (choice.value) (body[choice.value] ??= []).push(choice.dataset.choice);
  }
  const references = [...form.querySelectorAll("[data-reference]:checked")].map((box) => box.dataset.reference);
  if (references.length && !form.querySelector("[data-needs]").hidden) body.references = references;
  return body;
}

/** What was entered in the forms of this run, by the kind of the form; it outlives a reload. */
function entered() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

/** Keep what was entered in the form of a kind; nothing where there is none. */
function keep(kind, values = {}) {
  const all = { ...entered(), [kind]: values };
  if (!Object.keys(values).length) delete all[kind];
  if (Object.keys(all).length) sessionStorage.setItem(KEY, JSON.stringify(all));
  else sessionStorage.removeItem(KEY);
}

function keyOf({ name, dataset }) {
  return name || dataset.choice || dataset.reference || (dataset.find && "find");
}

/** The fields of a form that are not as they come. */
function valuesOf(form) {
  const isChanged = (one) => one.type === "checkbox" ? one.checked : one.options ? one.selectedIndex > 0 : one.value !== one.defaultValue;
  const changed = [...form.elements].filter((one) => keyOf(one) && isChanged(one));
  return Object.fromEntries(changed.map((one) => [keyOf(one), one.type === "checkbox" ? true : one.value]));
}

async function restore(form) {
  const values = entered()[form.dataset.kind] ?? {};
  const search = form.querySelector("[data-find]");
  if (search && values.find) {
    search.value = values.find;
    await find(search);
  }
  for (const field of form.elements) {
    const value = values[keyOf(field)];
    if (value === undefined || (field.options && ![...field.options].some((one) => one.value === value))) continue;
    if (field.type === "checkbox") field.checked = value;
    else field.value = value;
    const folded = field.closest("details.more-options");
    if (folded) folded.open = true;
  }
}

/** What the next click can cost, beside the button; what cannot be is said there too, and the button rests. */
async function reckon(form) {
  const said = await showEstimate(form.querySelector(".estimate"), `${address}/${form.dataset.kind}/estimate`, bodyOf(form));
  form.querySelector("[type=submit]").disabled = !said;
}

function later(form, work) {
  clearTimeout(form.waits);
  form.waits = setTimeout(work, 350);
}

/** Other references are for steps that redraw. */
function showForStep(form) {
  const node = form.elements.step?.selectedOptions[0]?.dataset.node;
  for (const part of form.querySelectorAll("[data-needs]")) part.hidden = part.dataset.needs !== node;
  for (const part of form.querySelectorAll("[data-unless]")) part.hidden = part.dataset.unless === node;
}

async function open(panel) {
  const inside = panel.querySelector(".panel-body");
  if (!panel.open || inside.hasChildNodes()) return;
  const html = await attempt(null, () => request(panel.dataset.form));
  if (html === undefined || inside.hasChildNodes()) { panel.open = Boolean(html); return; }
  inside.replaceChildren(...fragment(html));
  const form = inside.querySelector("form");
  await restore(form);
  showForStep(form);
  reckon(form);
}

async function find(field) {
  const list = field.closest(".find").querySelector("ul");
  const query = new URLSearchParams({ text: field.value, picks: field.dataset.find });
  if (!field.value.trim()) { list.replaceChildren(); return; }
  field.asks ??= newest();
  const html = await attempt(null, () => field.asks(`${address}/references?${query}`));
  if (html === undefined) return;
  const known = new Set([...field.form.querySelectorAll(".choices:not(.found-more) :is([data-choice], [data-reference])")].map(({ dataset }) => dataset.choice ?? dataset.reference));
  const picked = [...list.children].filter((item) => item.querySelector("select")?.value || item.querySelector("input")?.checked);
  for (const item of picked) known.add(idOf(item));
  list.replaceChildren(...picked, ...fragment(html));
  for (const item of [...list.children]) if (!picked.includes(item) && known.has(idOf(item))) item.remove();
}

function idOf(item) {
  const field = item.querySelector("[data-choice], [data-reference]");
  return field?.dataset.choice ?? field?.dataset.reference;
}

page.addEventListener("toggle", ({ target }) => { if (target.matches?.("[data-form]")) open(target); }, true);

page.addEventListener("input", ({ target }) => {
  const form = target.closest("form.steer");
  if (!form) return;
  keep(form.dataset.kind, valuesOf(form));
  if (target.dataset.find) { later(target, () => find(target)); return; }
  if (target.name === "step") showForStep(form);
  later(form, () => reckon(form));
});

page.addEventListener("submit", (event) => {
  const form = event.target.closest("form.steer");
  if (!form) return;
  event.preventDefault();
  attempt(form.querySelector("[type=submit]"), async () => {
    const begun = await request(`${address}/${form.dataset.kind}`, { method: "POST", body: bodyOf(form) });
    keep(form.dataset.kind);
    await leave(begun.address);
  });
});

page.addEventListener("click", async ({ target }) => {
  if (target.dataset.step) {
    const form = target.closest(".panel-body").querySelector("form");
    form.elements.step.value = target.dataset.step;
    keep("fork", valuesOf(form));
    showForStep(form);
    reckon(form);
    form.scrollIntoView({ block: "center" });
    form.elements.step.focus();
  }
  if (target.id === "remove-run") {
    const removed = await removeRuns([page.dataset.run], target);
    if (removed.length) leave("/runs");
  }
});

for (const kind of Object.keys(entered())) document.getElementById(kind)?.setAttribute("open", "");
letMark(page);
