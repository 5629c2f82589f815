// Elements.
function el(name, given = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && key !== "role") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== "" && child !== null && child !== undefined));
  return element;
}

const part = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);
const byId = (id) => document.getElementById(id);
const say = (key, values = {}) => (words[key] || key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
const plural = (key, n) => say(`${key}.${n === 1 ? "one" : "other"}`, { n });
const cosine = (value) => value.toFixed(3).replace(/^-(0\.0+)$/, "$1");
const label = (table, value) => (words.labels[table] || {})[value] || { name: String(value || "").replaceAll("_", " "), meaning: "" };

function put(id, text) {
  byId(id).textContent = text || "";
  byId(id).hidden = !text;
}

function badge(word, tone) {
  document.querySelector(".brand .badge")?.remove();
  if (word) document.querySelector(".brand").append(el("span", { className: `badge ${tone || "calm"}` }, word));
}

function busy(on) { byId("busy").hidden = !on; }

function show(...children) {
  byId("view").replaceChildren(...children.flat().filter(Boolean));
  size();
}

// Images come through the host, one request each, and are kept.
const images = new Map();

function source(uri, side) {
  const key = `${uri}?side=${side}`;
  if (!images.has(key)) images.set(key, read(key).catch(() => read(uri)));
  return images.get(key);
}

async function read(uri) {
  const { contents = [] } = await request("resources/read", { uri });
  const found = contents.find((one) => typeof one.blob === "string" && /^image\/[\w.+-]+$/.test(one.mimeType || ""));
  if (!found || !/^[A-Za-z0-9+/=\s]*$/.test(found.blob)) throw new Error("no image");
  return `data:${found.mimeType};base64,${found.blob}`;
}

function picture(uri, alt, side = SMALL) {
  const gone = el("span", { className: "gone", role: "img", "aria-label": alt });
  if (!uri || !can("serverResources")) { gone.append(el("span", {}, say("no_image"))); return gone; }
  const frame = el("span", { className: "gone", role: "img", "aria-label": alt }, el("span", {}, "…"));
  source(uri, side).then(
    (data) => frame.replaceWith(el("img", { src: data, alt, decoding: "async", onload: size })),
    () => frame.replaceChildren(el("span", {}, say("no_image"))),
  );
  return frame;
}

const figure = (uri, alt, side) => el("figure", { className: "image" }, picture(uri, alt, side));

function link(address) {
  if (!/^https?:\/\//i.test(address || "")) return null;
  if (!can("openLinks")) return el("small", {}, address);
  const open = (event) => { event.preventDefault(); request("ui/open-link", { url: address }).catch(() => told(address)); };
  return el("a", { href: address, rel: "noopener noreferrer nofollow", onclick: open }, say("open_page", { site: site(address) }));
}

function site(address) {
  try { return new URL(address).hostname; } catch { return address; }
}

const nameOf = (one) => one.title || one.caption || one.uri.slice(0, 20);
const altOf = (one) => one.caption || nameOf(one);
const creditOf = (one) => [one.author, one.licence ? say("licence", { licence: one.licence }) : say("no_licence")].filter(Boolean).join(", ");
const pageOf = (one) => one.page || (/^https?:\/\//i.test(one.source || "") ? one.source : "");
const told = (text) => put("told", text);
