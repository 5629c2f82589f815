// The form that starts a run.
import { attempt, request } from "./app.js";

const form = document.getElementById("draw");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = new FormData(form);
  attempt(form.querySelector("button[type=submit]"), async () => {
    const body = { prompt: fields.get("prompt"), library: fields.get("library") || null };
    const run = await request("/runs", { method: "POST", body });
    location.assign(run.address);
  });
});
