// Adding pictures: dropped, pasted or chosen ones are sent one by one, folders of the server are indexed.
import { attempt, make, request, tell } from "./app.js";
import { show } from "./library_tasks.js";
import { text } from "./library_texts.js";

const root = document.getElementById("library");
const { address, name: library } = root.dataset;
const panel = document.getElementById("add");
const form = document.getElementById("staged");
const list = form.querySelector("ul");
/** Pictures whose captions can be written before they are sent. */
const SHOWN = 48;
const AT_ONCE = 3;
const PICTURE = /\.(png|jpe?g|jfif|webp|gif|bmp|tiff?|avif|jp2|heic|heif|psd|cr2|cr3|nef|arw|dng|raf|orf|rw2|tga|ico|ppm|qoi)$/i;
let staged = [];
let sending = "";

function stage(files) {
  const fresh = [...files].filter((file) => file.type.startsWith("image/") || PICTURE.test(file.name));
  if (files.length && !fresh.length) tell(text("add.not_a_picture", { name: files[0].name }), "bad");
  staged.push(...fresh.map((file) => ({ file, caption: null })));
  panel.open ||= fresh.length > 0;
  render();
}

function render() {
  form.hidden = !staged.length;
  document.getElementById("staged-count").textContent = text("add.staged", { n: staged.length });
  document.getElementById("staged-more").hidden = staged.length <= SHOWN;
  for (const one of staged.slice(list.children.length, SHOWN)) {
    const image = make("img", { src: URL.createObjectURL(one.file), alt: "" });
    image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
    image.addEventListener("error", () => image.replaceWith(make("span", { className: "gone" }, text("add.no_preview"))), { once: true });
    one.caption = make("input", { value: panel.dataset.caption, placeholder: text("add.caption_hint"), dir: "auto", maxLength: 2000 });
    one.caption.setAttribute("aria-label", text("add.caption_of", { name: one.file.name }));
    list.append(make("li", {}, image, make("small", { dir: "auto" }, one.file.name), one.caption));
  }
}

function clear() {
  staged = [];
  list.replaceChildren();
  render();
}

form.addEventListener("reset", clear);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(form.querySelector("[type=submit]"), send);
});

async function send() {
  const waiting = staged.map(({ file, caption }) => ({ file, caption: caption?.value.trim() ?? "" }));
  const { task } = await request(`${address}/uploads`, { method: "POST", body: { files: waiting.length } });
  clear();
  const followed = show(task);
  sending = task;
  const over = new AbortController();
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      for (let one = waiting.shift(); one; one = waiting.shift()) {
        const query = new URLSearchParams({ name: one.file.webkitRelativePath || one.file.name, caption: one.caption });
        await request(`/library-tasks/${task}/images?${query}`, { method: "POST", body: one.file, signal: over.signal });
      }
    }));
  } catch (error) {
    over.abort();  // it was stopped, or the server is gone: the others need not be sent
    throw error;
  } finally {
    sending = "";
    await allSent(task);
  }
  await followed;
}

window.addEventListener("beforeunload", (event) => { if (sending) event.preventDefault(); });

/** Say that no further picture comes, even from a page that is going: the server adds what it has, and waits no more. */
function allSent(task) {
  const token = document.querySelector("meta[name=csrf-token]").content;
  return fetch(`/library-tasks/${task}/end`, { method: "POST", headers: { "x-csrf-token": token }, keepalive: true }).catch(() => {});
}

window.addEventListener("pagehide", () => { if (sending) allSent(sending); });

/** All files of what was dropped, those in folders too. */
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const files = [];
  for (let entry = entries.shift(); entry; entry = entries.shift()) {
    const one = entry;
    if (one.isFile) files.push(await new Promise((resolve, reject) => one.file(resolve, reject)));
    else {
      const reader = one.createReader();
      for (let part = await read(reader); part.length; part = await read(reader)) entries.push(...part);
    }
  }
  return files;
}

function read(reader) {
  return new Promise((resolve, reject) => reader.readEntries(resolve, reject));
}

const curtain = make("div", { className: "curtain", hidden: true }, make("p", {}, text("add.drop_here", { name: library })));
document.body.append(curtain);
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => { if (hasFiles(event)) { event.preventDefault(); curtain.hidden = false; } });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) curtain.hidden = true; });
document.addEventListener("drop", (event) => {
  curtain.hidden = true;
  if (!hasFiles(event)) return;
  event.preventDefault();
  attempt(null, async () => stage(await filesOf(event.dataTransfer)));
});
document.addEventListener("paste", (event) => {
  if (!event.clipboardData.files.length) return;
  event.preventDefault();
  stage(event.clipboardData.files);
});

for (const [button, input] of [["choose-files", "files"], ["choose-folder", "folder"]]) {
  const chooser = document.getElementById(input);
  document.getElementById(button).addEventListener("click", () => chooser.click());
  chooser.addEventListener("change", () => { stage(chooser.files); chooser.value = ""; });
}

document.getElementById("keep-web").addEventListener("submit", (event) => {
  event.preventDefault();
  const { run } = event.target.elements;
  attempt(event.target.querySelector("button"), async () => {
    const kept = await request(`${address}/keep-web`, { method: "POST", body: { run_id: run.value } });
    tell(text("add.web_kept", { n: kept.images }));
    document.dispatchEvent(new CustomEvent("library-changed"));
  });
});

// Folders of the server.
const server = document.getElementById("server-folder");
if (server) {
  const folders = server.querySelector("ul");
  let path = "";
  const enter = async (wanted) => {
    const found = await request(`/library-folders?${new URLSearchParams({ path: wanted })}`);
    path = found.path;
    document.getElementById("server-path").textContent = path;
    const buttons = found.folders.map((one) => [one.path, `${one.name}/`]);
    if (found.parent !== null) buttons.unshift([found.parent, `↑ ${text("add.up")}`]);
    folders.replaceChildren(...buttons.map(([to, name]) => {
      const button = make("button", { type: "button", dir: "auto" }, name);
      button.addEventListener("click", () => attempt(button, () => enter(to)));
      return make("li", {}, button);
    }));
    server.querySelectorAll("p button").forEach((button) => { button.disabled = !path; });
  };
  const index = async (preview) => {
    const body = { path, copy_files: server.elements.copy.checked, preview };
    const { task } = await request(`${address}/index`, { method: "POST", body });
    await show(task);
  };
  server.addEventListener("submit", (event) => { event.preventDefault(); attempt(event.submitter, () => index(false)); });
  server.elements.preview.addEventListener("click", ({ target }) => attempt(target, () => index(true)));
  attempt(null, () => enter(""));
}
if (panel.dataset.caption) panel.scrollIntoView();
