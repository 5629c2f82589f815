// Removing runs: what goes is said first, and confirmed.
import { attempt, make, request, tell } from "./app.js";

const dialog = document.getElementById("removal");
const part = (name) => document.getElementById(`removal-${name}`);

/** Ask about runs, and remove them; resolves to the ids of those that are gone, none where it was left. */
export async function removeRuns(runs, button) {
  const planned = await attempt(button, () => request("/runs/remove", { method: "POST", body: { runs, dry_run: true } }));
  if (!planned) return [];
  part("title").textContent = planned.title;
  part("says").textContent = planned.says;
  part("names").replaceChildren(...planned.names.map((name) => make("li", { dir: "auto" }, name)));
  dialog.showModal();
  part("cancel").focus();
  const confirmed = await new Promise((resolve) => {
    part("cancel").onclick = () => resolve(false);
    part("confirm").onclick = () => resolve(true);
    dialog.onclose = () => resolve(false);
  });
  if (!confirmed) {
    dialog.close();
    return [];
  }
  const removed = await attempt(part("confirm"), () => request("/runs/remove", { method: "POST", body: { runs, dry_run: false } }));
  dialog.close();
  if (!removed) return [];
  tell(removed.done);
  return removed.removed;
}
