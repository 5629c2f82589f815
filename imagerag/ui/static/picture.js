// A picture for something that the library did not have: dropped, pasted or chosen, put into it, and on with the run.
import { attempt, leave, request, tell, upload } from "./app.js";

/** Listen in an element whose content comes and goes. */
export function listenToPictures(root, texts, address) {
  const pictures = new WeakMap();

  async function take(form, file) {
    const kept = await upload(file);
    pictures.set(form, kept);
    const image = form.querySelector("img");
    image.src = `${kept.address}?side=384`;
    image.alt = file.name;
    image.hidden = false;
    form.querySelector("[type=submit]").disabled = false;
  }

  const formOf = (target) => target.closest?.("form[data-picture]");

  root.addEventListener("change", ({ target }) => {
    const form = formOf(target);
    if (form && target.type === "file" && target.files.length) attempt(null, () => take(form, target.files[0]));
  });
  for (const kind of ["dragover", "drop"]) {
    root.addEventListener(kind, (event) => {
      const form = formOf(event.target);
      if (!form) return;
      event.preventDefault();
      const [file] = event.dataTransfer.files;
      if (kind === "drop" && file) attempt(null, () => take(form, file));
    });
  }
  document.addEventListener("paste", (event) => {
    const form = formOf(document.activeElement) ?? root.querySelector("form[data-picture]");
    const [file] = event.clipboardData.files;
    if (form && file) attempt(null, () => take(form, file));
  });
  root.addEventListener("submit", (event) => {
    const form = formOf(event.target);
    if (!form) return;
    event.preventDefault();
    attempt(event.submitter, async () => {
      const { sha256 } = pictures.get(form);
      const body = { sha256, caption: form.caption.value, library: form.library.value };
      const run = await request(`${address}/picture`, { method: "POST", body });
      if (run.address) await leave(run.address);
      else tell(texts.added);
    });
  });
}
