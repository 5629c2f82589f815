// Favourites: a star on a run.
import { attempt, request } from "./app.js";

/** Let the stars below an element be clicked. */
export function letMark(root) {
  root.addEventListener("click", ({ target }) => {
    const star = target.closest("[data-favourite]");
    if (!star) return;
    attempt(star, async () => {
      const favourite = star.getAttribute("aria-pressed") !== "true";
      await request("/runs/mark", { method: "POST", body: { runs: [star.dataset.favourite], favourite } });
      star.setAttribute("aria-pressed", favourite);
    });
  });
}
