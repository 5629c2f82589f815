// Rows that follow as a list is scrolled, and images of it that are gone.
import { attempt, fragment, make, request, text } from "./app.js";

async function follow(link, watch) {
  if (link.dataset.asked) return;
  link.dataset.asked = "1";
  const address = new URL(link.href);
  address.searchParams.set("part", "1");
  const html = await attempt(null, () => request(address.pathname + address.search));
  delete link.dataset.asked;
  if (html === undefined) return;
  link.closest("li").replaceWith(...fragment(html));
  watch();
}

/** Say in the place of an image that it is gone, where it is: it may have been asked for before this script ran. */
function say(image) {
  if (image.nodeName !== "IMG" || !image.complete || image.naturalWidth) return;
  image.replaceWith(make("span", { className: "gone" }, text("image_gone")));
}

/** Fetch what follows when its link comes near; gives a function to call when the rows were replaced. */
export function followRows(listed) {
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) follow(entry.target, watch);
  }, { rootMargin: "800px" });

  function watch() {
    listed.querySelectorAll("img").forEach(say);
    seen.disconnect();
    const link = listed.querySelector("[data-more]");
    if (link) seen.observe(link);
  }

  listed.addEventListener("click", (event) => {
    const link = event.target.closest("[data-more]");
    if (!link) return;
    event.preventDefault();
    follow(link, watch);
  });
  listed.addEventListener("error", ({ target }) => say(target), true);
  watch();
  return watch;
}
