// The cases of an evaluation, all arms side by side. Text is put into text nodes only.
"use strict";
function showGallery(data, images, texts) {
  const $ = id => document.getElementById(id);
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const make = (tag, given = {}, ...children) => { const e = Object.assign(document.createElement(tag), given);
    e.append(...children); return e; };
  const options = (select, first, values) => select.append(...(first === null ? [] : [make("option", {value: "", textContent: first})]),
    ...values.map(v => make("option", {value: v, textContent: label(v)})));
  const label = status => data.labels[status] || status;
  const unique = values => [...new Set(values)].sort();
  const answers = data.rows.flatMap(r => r.answers);
  options($("tag"), texts.all, unique(data.rows.flatMap(r => r.tags)));
  options($("ending"), texts.all, unique(answers.map(a => a.status)));
  const scores = unique(answers.flatMap(a => Object.keys(a.scores)));
  options($("score"), null, scores);
  const wanted = ["right:", "text:", "vqa:", "grade:", "image:"];
  const start = wanted.map(w => [...$("score").options].findIndex(o => o.value.startsWith(w))).find(i => i >= 0);
  if (start !== undefined) $("score").selectedIndex = start;
  options($("versus"), null, data.arms.slice(1).reverse());
  $("arms").append(...data.arms.map(arm => make("label", {}, make("input", {type: "checkbox", value: arm, checked: true}), arm)));
  const number = v => typeof v === "number" ? v : v === true ? 1 : v === false ? 0 : NaN;
  const counts = new Set(scores.filter(name => answers.every(a => typeof a.scores[name] !== "number" || Number.isInteger(a.scores[name]))));
  const figure = (v, whole = false) => typeof v === "number" ? (v === 0 ? 0 : v).toFixed(whole ? 0 : 3) : String(v);
  const breakable = name => name.split(/(?<=[:.@_])/).flatMap(part => [part, make("wbr")]);
  const gain = row => { const name = $("score").value, of = arm => number(row.answers.find(a => a.arm === arm)?.scores[name]);
    const d = of($("versus").value) - of(data.arms[0]); return Number.isNaN(d) ? 0 : d; };
  function imageBox(key, given) { return key ? make("img", {src: images[key], loading: "lazy", ...given}) : make("div", {className: "gone", textContent: texts.no_image}); }
  function card(a, best) {
    const box = make("article", {className: best ? "best" : "", title: a.reason});
    box.append(make("figure", {className: "image"}, imageBox(a.image, {alt: fill(texts.image_of, {arm: a.arm})})),
      make("h3", {}, a.arm, make("span", {className: "status " + a.status, textContent: label(a.status)})));
    if (a.references.length) box.append(make("div", {className: "refs"}, ...a.references.map(r =>
      imageBox(r.image, {alt: fill(texts.reference_for, {what: r.for}), title: r.similarity === null ? r.for : fill(texts.at_cosine, {what: r.for, cosine: figure(r.similarity)})}))));
    const list = make("dl");
    for (const [name, value] of Object.entries(a.scores)) list.append(make("dt", {}, ...breakable(name)), make("dd", {textContent: figure(value, counts.has(name))}));
    box.append(list); return box;
  }
  function show() {
    const words = $("words").value.toLowerCase(), tag = $("tag").value, status = $("ending").value, score = $("score").value;
    const arms = new Set([...$("arms").querySelectorAll("input:checked")].map(i => i.value));
    let rows = data.rows.filter(r => (!words || (r.prompt + " " + r.case).toLowerCase().includes(words)) && (!tag || r.tags.includes(tag))
      && (!status || r.answers.some(a => arms.has(a.arm) && a.status === status)));
    const order = $("order").value;
    if (order) rows = rows.slice().sort((a, b) => order === "gain" ? gain(b) - gain(a) : gain(a) - gain(b));
    $("count").textContent = fill(texts.count, {shown: rows.length, of: data.rows.length}) + (data.leftOut ? fill(texts.left_out, {n: data.leftOut}) : "");
    $("cases").replaceChildren(...rows.map(r => {
      const shown = r.answers.filter(a => arms.has(a.arm)), top = Math.max(...shown.map(a => number(a.scores[score])).filter(v => !Number.isNaN(v))),
        low = Math.min(...shown.map(a => number(a.scores[score])).filter(v => !Number.isNaN(v)));
      return make("section", {className: "case"}, make("h2", {textContent: r.prompt}),
        make("div", {className: "mute", textContent: fill(texts.case, {name: r.case, seed: r.seed}) + (r.tags.length ? ", " + r.tags.join(", ") : "")}),
        make("div", {className: "arms"}, ...shown.map(a => card(a, top > low && number(a.scores[score]) === top))));
    }));
  }
  $("filters").addEventListener("input", show); $("filters").addEventListener("submit", e => e.preventDefault());
  show();
}
