// What keeps a library in order: each form begins a task.
import { attempt, leave, request } from "./app.js";
import { start } from "./library_tasks.js";
import { ask, text } from "./library_texts.js";

const root = document.getElementById("upkeep");
const { address, name } = root.dataset;

function bodyOf(form) {
  const { keep, tag, threshold, with_bytes: withBytes } = form.elements;
  return { ...(threshold?.value && { threshold: Number(threshold.value) }), ...(keep && { keep: keep.value }), ...(tag && { tag: tag.value }), ...(withBytes && { with_bytes: withBytes.checked }) };
}

root.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches(".work")) return;
  event.preventDefault();
  attempt(form.querySelector("[type=submit]"), async () => {
    if (form.id === "rename") {
      const { address: there } = await request(`${address}/rename`, { method: "POST", body: { name: form.elements.name.value } });
      await leave(`${there}/upkeep`);
    } else if (form.id === "delete") {
      const typed = await ask({ title: text("upkeep.delete_title", { name }), body: text("upkeep.delete_body"), typed: name,
        yes: text("upkeep.delete_yes") });
      if (typed) await leave((await request(`${address}/delete`, { method: "POST", body: { name: typed } })).address);
    } else {
      await start(form.dataset.kind, bodyOf(form));
      if (form.dataset.kind === "snapshot") location.reload();
    }
  });
});

root.addEventListener("click", ({ target }) => {
  const { restore, removeSnapshot } = target.dataset;
  if (restore) {
    attempt(target, async () => {
      const sure = await ask({ title: text("upkeep.restore_title", { name, tag: restore }), body: text("upkeep.restore_body"),
        yes: text("upkeep.restore") });
      if (sure) await start("restore", { tag: restore });
    });
  }
  if (removeSnapshot) {
    attempt(target, async () => {
      const sure = await ask({ title: text("upkeep.remove_snapshot_title", { tag: removeSnapshot }),
        body: text("upkeep.remove_snapshot_body"), yes: text("upkeep.remove_snapshot") });
      if (!sure) return;
      await request(`${address}/remove-snapshot`, { method: "POST", body: { name: removeSnapshot } });
      target.closest("li").remove();
    });
  }
});
