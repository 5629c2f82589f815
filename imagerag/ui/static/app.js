// What all pages share: requests, replacing parts of a page, and telling the person.

const texts = JSON.parse(document.getElementById("texts").textContent);
const status = document.getElementById("status");

/** The text of a key of `common`, its {placeholders} filled. */
export function text(key, values = {}) {
  return texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Say something for a while, on the screen and to a screen reader; "bad" stays until it is closed, or a button is tried. */
export function tell(message, tone = "calm") {
  status.textContent = message;
  if (tone === "bad") status.append(make("button", { type: "button", ariaLabel: text("close"), onclick: () => tell("") }));
  status.className = tone;
  status.hidden = !message;
  if (status.matches(":popover-open")) status.hidePopover();
  if (message) status.showPopover();  // above a dialog that is open
  clearTimeout(tell.timer);
  if (tone !== "bad") tell.timer = setTimeout(() => { status.hidden = true; }, 4000);
}

/** Ask the server. A body that is no file goes as JSON. Resolves to the JSON or the text of the answer; throws an
 * Error with the server's message and the `content` of the answer, a TypeError where there is no answer. */
export async function request(address, { method = "GET", body, signal } = {}) {
  const isFile = body instanceof Blob;
  const headers = {};
  if (method !== "GET") headers["x-csrf-token"] = document.querySelector("meta[name=csrf-token]").content;
  if (body !== undefined && !isFile) headers["content-type"] = "application/json";
  const sent = body === undefined || isFile ? body : JSON.stringify(body);
  const answer = await fetch(address, { method, headers, body: sent, signal }).catch((error) => {
    throw error instanceof TypeError ? new TypeError(text("no_answer")) : error;  // the browser's words are English
  });
  const isJson = (answer.headers.get("content-type") ?? "").startsWith("application/json");
  const content = isJson ? await answer.json() : await answer.text();
  if (!answer.ok) throw Object.assign(new Error(isJson ? content.message : `${answer.status}`), { content });
  return content;
}

/** Makes requests of which only the newest counts: one that has no answer yet is given up for the next. */
export function newest() {
  let controller = new AbortController();
  return (address, options = {}) => {
    controller.abort();
    controller = new AbortController();
    return request(address, { ...options, signal: controller.signal });
  };
}

/** Run what a click or a form asks for; what goes wrong is told, and the button is of no use meanwhile: keys that send a
 * form again start nothing twice. */
export async function attempt(button, work) {
  if (button?.disabled) return undefined;
  if (button) {
    button.disabled = true;
    if (status.className === "bad") tell("");
  }
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") tell(text("failed", { message: error.message }), "bad");
    return undefined;
  } finally {
    if (button) button.disabled = false;
  }
}

/** Go to another page. Resolves when this one is shown again, so that its buttons are of no use until then. */
export function leave(address) {
  location.assign(address);
  return new Promise((resolve) => { addEventListener("pageshow", resolve, { once: true }); });
}

/** Keep an image; resolves to `{sha256, width, height, media_type, address}`. What goes wrong names the file. */
export async function upload(file) {
  try {
    return await request("/images", { method: "POST", body: file });
  } catch (error) {
    if (file.name) error.message = `${file.name}: ${error.message}`;
    throw error;
  }
}

/** The nodes of some HTML of this server. */
export function fragment(html) {
  return [...new DOMParser().parseFromString(html, "text/html").body.childNodes];
}

/** Make an element: `make("p", {className: "mute"}, "text", child)`. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Make the children of an element those of some HTML, and leave alone what is the same: open details, focus, images. */
export function replace(element, html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  morph(element, parsed.body);
}

function morph(old, fresh) {
  const now = [...old.childNodes];
  const next = [...fresh.childNodes];
  next.forEach((wanted, at) => {
    const own = now[at];
    if (!own) old.append(wanted);
    else if (own.nodeType !== wanted.nodeType || own.nodeName !== wanted.nodeName || own.id !== wanted.id) own.replaceWith(wanted);
    else if (own.nodeType !== Node.ELEMENT_NODE) { if (own.data !== wanted.data) own.data = wanted.data; }
    else if (!own.hasAttribute("data-own")) {
      for (const { name } of [...own.attributes]) if (!wanted.hasAttribute(name) && name !== "open") own.removeAttribute(name);
      for (const { name, value } of wanted.attributes) if (own.getAttribute(name) !== value) own.setAttribute(name, value);
      morph(own, wanted);
    }
  });
  now.slice(next.length).forEach((node) => node.remove());
}

// A file that is dropped where no page takes one is not shown in place of the page.
for (const kind of ["dragover", "drop"]) {
  window.addEventListener(kind, (event) => {
    if (event.defaultPrevented || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "none";
  });
}
