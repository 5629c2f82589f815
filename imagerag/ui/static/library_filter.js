// The filter's field: proposes the keys and values that the library has, at the place where one writes.
import { make, request } from "./app.js";

const SHOWN = 12;
const OPERATORS = { text: ["=", "!=", "~"], number: ["=", ">=", "<="], time: [">=", "<", "="], flag: ["="], tags: ["=", "!="] };

/** What stands before the caret: the start of a key, or a key with an operator and the start of a value. */
function place(before) {
  const value = /([\w.:-]+)\s*(=|!=|~|!~|>=|<=|>|<)\s*("[^"]*|[^\s()]*)$/.exec(before);
  if (value) return { key: value[1], start: value[3], from: before.length - value[3].length };
  const start = /[\w.:-]*$/.exec(before)[0];
  return { key: null, start, from: before.length - start.length };
}

function proposals(keys, before) {
  const { key, start, from } = place(before);
  const wanted = start.toLowerCase().replace(/^"/, "");
  const known = key && keys.find((one) => one.key === key);
  if (key) {
    const values = (known?.values ?? []).filter((one) => one.toLowerCase().replace(/^"/, "").includes(wanted));
    return { from, options: values.map((one) => ({ insert: `${one} `, label: one })) };
  }
  const named = keys.filter((one) => one.key.toLowerCase().includes(wanted));
  const options = named.flatMap((one) => (OPERATORS[one.kinds[0]] ?? ["="])
    .slice(0, named.length > 6 ? 1 : 3).map((operator) => ({ insert: `${one.key}${operator}`, label: `${one.key}${operator}` })));
  return { from, options };
}

export function suggest(input, list, address) {
  let keys = null;
  let loading = null;
  let current = -1;
  let found = { from: 0, options: [] };

  function open() {
    if (!keys) {
      loading ??= request(`${address}/keys`).then((answer) => answer.keys, () => []).then((known) => {
        keys = known;
        open();
      });
      return;
    }
    found = proposals(keys, input.value.slice(0, input.selectionStart));
    found.options = found.options.slice(0, SHOWN);
    current = -1;
    list.replaceChildren(...found.options.map((one, at) => {
      const item = make("li", { id: `suggestion-${at}`, dir: "auto" }, one.label);
      item.setAttribute("role", "option");
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); take(at); });
      return item;
    }));
    toggle(found.options.length > 0 && document.activeElement === input);
  }

  function toggle(shown) {
    list.hidden = !shown;
    input.setAttribute("aria-expanded", shown);
    if (!shown) input.removeAttribute("aria-activedescendant");
  }

  function take(at) {
    const caret = input.selectionStart;
    const { insert } = found.options[at];
    input.setRangeText(insert, found.from, caret, "end");
    input.focus();
    open();
  }

  function move(by) {
    current = (current + by + found.options.length) % found.options.length;
    [...list.children].forEach((item, at) => item.setAttribute("aria-selected", at === current));
    list.children[current].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", `suggestion-${current}`);
  }

  input.addEventListener("focus", open);
  input.addEventListener("input", open);
  input.addEventListener("blur", () => toggle(false));
  input.addEventListener("keydown", (event) => {
    if (list.hidden || !found.options.length) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      move(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Escape") {
      event.preventDefault();
      toggle(false);
    } else if (current >= 0 && (event.key === "Enter" || event.key === "Tab")) {
      event.preventDefault();
      take(current);
    }
  });
}
