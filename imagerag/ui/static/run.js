// A run as it goes on: every change is fetched and put in place of what stood there.
import { attempt, replace, request, tell, text } from "./app.js";
import { listenToChoice } from "./choice.js";
import { showEstimates } from "./estimate.js";
import { listenToPictures } from "./picture.js";

const run = document.getElementById("run");
const address = `/runs/${encodeURIComponent(run.dataset.run)}`;
const texts = JSON.parse(document.getElementById("run-texts").textContent);
const LIVE = ["loading", "here", "elsewhere"];
let lost = false;
let refreshing;
let again = false;
let resumedHere = false;

function stage() {
  return run.querySelector("[data-stage]").dataset.stage;
}

/** Fetch the page's content once; changes that come meanwhile are fetched together afterwards. */
function refresh() {
  if (refreshing) {
    again = true;
    return refreshing;
  }
  refreshing = load().finally(() => {
    refreshing = undefined;
    if (again) {
      again = false;
      attempt(null, refresh);
    }
  });
  return refreshing;
}

async function load() {
  const before = stage();
  replace(run, await request(`${address}/body`));
  if (before === "waiting" && stage() !== "waiting" && !resumedHere) tell(texts.answered);
  if (before === "stopped" && stage() !== "stopped" && !resumedHere) tell(texts.began_again);
  if (stage() !== "waiting") resumedHere = false;
  show();
}

function show() {
  showEstimates(run);
  tick();
}

/** The time since a run that is under way began. */
function tick() {
  for (const clock of run.querySelectorAll("time[data-since]")) {
    const seconds = Math.max(0, Math.round((Date.now() - Date.parse(clock.dataset.since)) / 1000));
    clock.textContent = seconds < 100 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
  }
}

function showProgress({ step, of, image }) {
  const partial = document.getElementById("partial");
  const line = document.getElementById("step");
  if (!partial || !line) return;
  if (step) line.textContent = (of ? texts.step_of : texts.step).replace("{step}", step).replace("{of}", of);
  if (!image) return;
  partial.src = image;
  partial.hidden = false;
}

function follow() {
  const events = new EventSource(`${address}/events`);
  events.addEventListener("open", () => {
    if (!lost) return;
    lost = false;
    tell(text("back_again"));
    attempt(null, refresh);
  });
  events.addEventListener("change", () => attempt(null, refresh));
  events.addEventListener("progress", ({ data }) => showProgress(JSON.parse(data)));
  events.addEventListener("ended", () => {
    events.close();
    attempt(null, refresh);
  });
  events.addEventListener("error", () => {
    if (!lost) tell(text("lost_connection"), "bad");
    lost = true;
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 2000);
  });
}

/** Go on with the run; an answer to its question where it waits for one. */
async function resume(body) {
  resumedHere = true;
  try {
    await request(`${address}/resume`, { method: "POST", body });
  } catch (error) {
    resumedHere = false;
    attempt(null, refresh);
    throw error;
  }
  await refresh();
}

run.addEventListener("click", ({ target }) => {
  if (target.id === "stop") attempt(null, async () => {
    await request(`${address}/stop`, { method: "POST" });
    await refresh();
  });
  if (target.id === "resume") attempt(target, () => resume({}));
});
listenToChoice(run, texts, resume);
listenToPictures(run, texts, address);

if (stage() !== "ended" && stage() !== "refused") follow();
setInterval(() => { if (LIVE.includes(stage())) tick(); }, 1000);
show();
