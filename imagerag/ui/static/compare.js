// Two images over or beside one another, moved and enlarged together.
import { attempt, newest, replace, text as commonText } from "./app.js";
import { View } from "./view.js";

const texts = JSON.parse(document.getElementById("compare-texts").textContent);
const $ = (id) => document.getElementById(id);
const viewer = $("viewer");
const stage = $("stage");
const position = $("position");
const picks = { left: $("left-pick"), right: $("right-pick") };
const MODES = ["slider", "difference", "side", "fade"];
const view = new View(stage, [$("left"), $("right"), $("difference")], (scale) => { $("zoom-now").textContent = `${Math.round(100 * scale)} %`; });
const facts = newest();
let measuring = new AbortController();

const mode = () => stage.dataset.mode;
const modeInput = (name) => document.querySelector(`#modes [value=${name}]`);

function query() {
  const values = { a: viewer.dataset.a, b: viewer.dataset.b, left: picks.left.value, right: picks.right.value, mode: mode() };
  return new URLSearchParams(Object.entries(values).filter(([, value]) => value));
}

function showImage(image, address) {
  if (image.getAttribute("src") === address) return;
  image.closest(".pane").classList.remove("gone");
  image.src = address;
}

/** Both sides as they are picked; what is said of them follows. */
async function show() {
  for (const side of ["left", "right"]) {
    const option = picks[side].selectedOptions[0];
    showImage($(side), option.dataset.image);
    $(side).alt = $(`${side}-tag`).textContent = option.textContent;
  }
  showDifference();
  history.replaceState(null, "", `/compare?${query()}`);
  const html = await attempt(null, () => facts(`/compare?${query()}&part=1`));
  if (html !== undefined) replace($("compared-facts"), html);
}

/** Where the two differ, and how much of them does. */
async function showDifference() {
  const [a, b] = ["left", "right"].map((side) => picks[side].selectedOptions[0].dataset.image.split("/").pop());
  measuring.abort();
  measuring = new AbortController();
  const differ = $("differ");
  differ.textContent = texts.measuring;
  try {
    const answer = await fetch(`/compare/difference?${new URLSearchParams({ a, b })}`, { signal: measuring.signal });
    if (!answer.ok) throw new Error((await answer.json()).message);
    URL.revokeObjectURL($("difference").src);
    showImage($("difference"), URL.createObjectURL(await answer.blob()));
    differ.textContent = texts.differ.replace("{share}", answer.headers.get("x-difference"));
  } catch (error) {
    if (error.name !== "AbortError") differ.textContent = error.message;
  }
}

function showMode(name) {
  stage.dataset.mode = name;
  modeInput(name).checked = true;
  $("position-label").hidden = name !== "slider" && name !== "fade";
  history.replaceState(null, "", `/compare?${query()}`);
  view.place();
  showPosition();
}

function showPosition() {
  stage.style.setProperty("--position", `${position.value}%`);
  stage.style.setProperty("--share", position.value / 100);
  position.setAttribute("aria-valuetext", texts[mode() === "fade" ? "faded" : "slid"].replace("{n}", position.value));
}

function step(side, by) {
  const pick = picks[side];
  pick.selectedIndex = (pick.selectedIndex + by + pick.length) % pick.length;
  show();
}

const KEYS = {
  "+": () => view.zoom(1.25),
  "=": () => view.zoom(1.25),
  "-": () => view.zoom(0.8),
  0: () => view.reset(),
  ArrowRight: ({ shiftKey }) => step(shiftKey ? "left" : "right", 1),
  ArrowLeft: ({ shiftKey }) => step(shiftKey ? "left" : "right", -1),
  x: () => $("swap").click(),
};
MODES.forEach((name, at) => { KEYS[at + 1] = () => showMode(name); });

document.addEventListener("keydown", (event) => {
  const own = event.target.closest("input:not([type=radio]), select, textarea, summary");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (own && event.key.startsWith("Arrow")) return;
  if (event.target.name === "mode" && event.key.startsWith("Arrow")) return;
  if (event.target === stage && event.shiftKey && event.key.startsWith("Arrow") === false && !(event.key in KEYS)) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act(event);
});

for (const side of ["left", "right"]) picks[side].addEventListener("change", show);
$("swap").addEventListener("click", () => {
  [picks.left.value, picks.right.value] = [picks.right.value, picks.left.value];
  show();
});
$("modes").addEventListener("change", ({ target }) => showMode(target.value));
$("zoom-in").addEventListener("click", () => view.zoom(1.25));
$("zoom-out").addEventListener("click", () => view.zoom(0.8));
$("zoom-reset").addEventListener("click", () => view.reset());
position.addEventListener("input", showPosition);
stage.addEventListener("slide", ({ detail }) => {
  if (mode() !== "slider") return;
  position.value = Math.round(100 * detail);
  showPosition();
});
stage.addEventListener("error", ({ target }) => {
  const pane = target.closest(".pane");
  pane.classList.add("gone");
  pane.dataset.gone = commonText("image_gone");
}, true);

const asked = new URLSearchParams(location.search).get("mode");
showMode(MODES.includes(asked) ? asked : "slider");
show();
