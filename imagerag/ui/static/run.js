// A run as it goes on: every change is fetched and put in place of what stood there.
import { attempt, replace, request, tell, text } from "./app.js";

const run = document.getElementById("run");
const address = `/runs/${encodeURIComponent(run.dataset.run)}`;
let lost = false;

async function refresh() {
  replace(run, await request(`${address}/body`));
}

function follow() {
  const events = new EventSource(`${address}/events`);
  events.addEventListener("open", () => {
    if (lost) tell(text("back_again"));
    lost = false;
  });
  events.addEventListener("change", () => attempt(null, refresh));
  events.addEventListener("progress", ({ data }) => {
    const { image } = JSON.parse(data);
    const partial = document.getElementById("partial");
    if (image && partial) {
      partial.src = image;
      partial.hidden = false;
    }
  });
  events.addEventListener("ended", () => {
    events.close();
    attempt(null, refresh);
  });
  events.addEventListener("error", () => {
    lost = true;
    tell(text("lost_connection"), "bad");
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 2000);
  });
}

run.addEventListener("click", ({ target }) => {
  if (target.id === "stop") attempt(target, () => request(`${address}/stop`, { method: "POST" }));
});

if (run.querySelector("[data-status=running]")) follow();
