// Work on a library: how far it is, its result, and the buttons in it.
import { attempt, make, replace, request, tell, text as common } from "./app.js";
import { askToRemove } from "./library_texts.js";

const panel = document.getElementById("tasks");
const root = panel.closest("[data-address]");
const address = root.dataset.address;
const following = new Set();

/** Begin a task and show it. Resolves when it has ended. */
export async function start(kind, body = {}) {
  const { task } = await request(`${address}/tasks/${kind}`, { method: "POST", body });
  return show(task);
}

/** Show a task that was begun, and follow it to its end. */
export async function show(task) {
  const box = make("div", { className: "task panel" });
  box.dataset.task = task;
  panel.prepend(box);
  await refresh(box);
  box.scrollIntoView({ block: "nearest" });
  await follow(box);
}

/** Show in the head of the page what the library is now. */
async function refreshHead() {
  const head = document.querySelector(".library-head");
  const fresh = new DOMParser().parseFromString(await request(location.pathname), "text/html").querySelector(".library-head");
  if (fresh) replace(head, fresh.innerHTML);
}

async function refresh(box) {
  try {
    replace(box, await request(`/library-tasks/${box.dataset.task}`));
  } catch (error) {
    box.remove();
    throw error;
  }
}

function follow(box) {
  const task = box.dataset.task;
  if (following.has(task) || box.querySelector("[data-ended=yes]")) return Promise.resolve();
  following.add(task);
  return new Promise((resolve) => {
    const events = new EventSource(`/library-tasks/${task}/events`);
    events.addEventListener("change", () => refresh(box).catch(() => {}));
    events.addEventListener("ended", async () => {
      events.close();
      following.delete(task);
      await refresh(box).catch(() => {});
      document.dispatchEvent(new CustomEvent("library-changed"));
      resolve();
    });
    events.addEventListener("error", () => {
      if (events.readyState !== EventSource.CLOSED) return;  // it tries again by itself
      following.delete(task);
      tell(common("lost_connection"), "bad");
      setTimeout(() => follow(box).then(resolve), 2000);
    });
  });
}

panel.addEventListener("click", (event) => {
  const box = event.target.closest("[data-task]");
  const task = box?.dataset.task;
  if (event.target.matches("[data-stop]")) attempt(event.target, () => request(`/library-tasks/${task}/stop`, { method: "POST" }));
  if (event.target.matches("[data-forget]")) {
    attempt(event.target, async () => {
      await request(`/library-tasks/${task}/forget`, { method: "POST" });
      box.remove();
    });
  }
  if (event.target.matches("[data-start]")) attempt(event.target, () => start(event.target.dataset.start));
});

panel.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-duplicates]")) return;
  event.preventDefault();
  const form = event.target;
  const ids = [...form.querySelectorAll("fieldset")].flatMap((group) => {
    const kept = group.querySelector("input:checked")?.value;
    return kept ? [...group.querySelectorAll("input")].map((one) => one.value).filter((id) => id && id !== kept) : [];
  });
  attempt(form.querySelector("[type=submit]"), async () => {
    if (!await askToRemove(address, { ids })) return;
    form.querySelectorAll("fieldset").forEach((group) => {
      if (group.querySelector("input:checked")?.value) group.remove();
    });
    await start("remove", { ids });
  });
});

panel.querySelectorAll("[data-task]").forEach(follow);
document.addEventListener("library-changed", () => refreshHead().catch(() => {}));  // the page's other parts say what is wrong
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") refreshHead().catch(() => {});
});
