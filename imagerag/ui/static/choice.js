// Choosing references by hand: which, in which order, or which one is edited.
import { attempt, tell } from "./app.js";

/** Listen in an element whose content comes and goes. `answer` is called with `{choose, edit}`. */
export function listenToChoice(root, texts, answer) {
  let order = [];

  const form = () => root.querySelector("#choice");
  const edited = () => form().querySelector("[data-edit][aria-pressed=true]");

  function show() {
    const button = form().querySelector("[type=submit]");
    const count = order.length + (edited() ? 1 : 0);
    button.disabled = !count;
    button.textContent = count === 0 ? texts.use_none : count === 1 ? texts.use_one : texts.use_many.replace("{n}", count);
  }

  function room() {
    return order.length + (edited() ? 1 : 0) < Number(form().dataset.most);
  }

  function tick(box) {
    order = order.filter((one) => one !== box.value);
    if (box.checked && !room()) {
      box.checked = false;
      tell(texts.full.replace("{most}", form().dataset.most));
    } else if (box.checked) {
      order.push(box.value);
      const edit = edited();
      if (edit?.dataset.edit === box.value) edit.setAttribute("aria-pressed", "false");
    }
    show();
  }

  function toggleEdit(button) {
    const on = button.getAttribute("aria-pressed") !== "true";
    for (const other of form().querySelectorAll("[data-edit]")) other.setAttribute("aria-pressed", "false");
    const box = form().querySelector(`[name=choose][value="${button.dataset.edit}"]`);
    if (on) {
      order = order.filter((one) => one !== box.value);
      box.checked = false;
      if (room()) button.setAttribute("aria-pressed", "true");
      else tell(texts.full.replace("{most}", form().dataset.most));
    }
    show();
  }

  function send(button, choose, edit) {
    attempt(button, async () => {
      await answer(edit ? { choose, edit } : { choose });
      order = [];
    });
  }

  root.addEventListener("change", ({ target }) => { if (target.name === "choose") tick(target); });
  root.addEventListener("click", ({ target }) => {
    if (target.dataset?.edit) toggleEdit(target);
    if (target.id === "none") send(target, []);
  });
  root.addEventListener("submit", (event) => {
    if (event.target !== form()) return;
    event.preventDefault();
    send(event.submitter, order.map(Number), edited() ? Number(edited().dataset.edit) : undefined);
  });
}
