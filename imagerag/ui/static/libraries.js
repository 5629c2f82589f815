// The list of libraries: make one.
import { attempt, leave, request } from "./app.js";

const button = document.getElementById("make");
const form = document.getElementById("new-library");

button.addEventListener("click", () => {
  form.hidden = !form.hidden;
  button.setAttribute("aria-expanded", !form.hidden);
  if (!form.hidden) form.elements.name.focus();
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const problem = form.querySelector(".error");
  attempt(form.querySelector("[type=submit]"), async () => {
    try {
      const body = { name: form.elements.name.value.trim(), embedder: form.elements.embedder.value.trim() };
      await leave((await request("/library", { method: "POST", body })).address);
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
  });
});
