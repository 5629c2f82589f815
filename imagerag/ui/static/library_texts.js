// The words of the library's pages, and a dialog that asks before something is done.
import { fragment, make, request, text as common } from "./app.js";

const texts = JSON.parse(document.getElementById("library-texts")?.textContent ?? "{}");

/** The text of a key of `library`, its {placeholders} filled; with `n`, the form for that number. */
export function text(key, values = {}) {
  const form = values.n === 1 ? ".one" : ".other";
  const found = texts[key + form] ?? texts[key] ?? key;
  return found.replace(/\{(\w+)(:,)?\}/g, (_, name, grouped) => {
    const value = values[name] ?? "";
    return grouped || typeof value === "number" ? Number(value).toLocaleString(document.documentElement.lang) : value;
  });
}

/** Ask before something is done. Resolves to true, or to what was typed where a name has to be; false where not.
 * `html` is markup of this server. */
export function ask({ title, body, yes, html = "", typed = "" }) {
  const input = make("input", { autocomplete: "off", spellcheck: false });
  const accept = make("button", { type: "submit", className: "bad", value: "yes" }, yes);
  const form = make("form", { method: "dialog" },
    make("h2", { id: "dialog-title" }, title), make("p", {}, body));
  if (html) {
    form.append(make("ul", { className: "preview" }, ...fragment(html)));
  }
  if (typed) {
    input.setAttribute("aria-labelledby", "dialog-title");
    accept.disabled = true;
    input.addEventListener("input", () => { accept.disabled = input.value.trim() !== typed; });
    form.append(input);
  }
  const refuse = make("button", { type: "button" }, common("cancel"));
  form.append(make("p", { className: "actions" }, accept, refuse));
  const dialog = make("dialog", {}, form);
  dialog.setAttribute("aria-labelledby", "dialog-title");
  document.body.append(dialog);
  refuse.addEventListener("click", () => dialog.close());
  dialog.showModal();
  (typed ? input : refuse).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? input.value.trim() || true : false);
    });
  });
}

/** Ask before images are removed, `{ids}` or those of a `{filter}`, and show which. Resolves to whether they may be. */
export async function askToRemove(address, which, title) {
  const preview = await request(`${address}/remove`, { method: "POST", body: { ...which, preview: true } });
  return ask({ title: title ?? text("remove_matching_title", { n: preview.images }), body: text("remove_body"),
    html: preview.html, yes: text("remove_yes") });
}
