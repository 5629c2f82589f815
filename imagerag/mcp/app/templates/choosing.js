// Choosing.
function offers(list, threshold, box) {
  const top = Math.max(0.05, ...list.flatMap((one) => [one.similarity || 0, one.threshold ?? threshold ?? 0])) * 1.08;
  const share = (value) => `${(100 * Math.min(1, Math.max(0, value / top))).toFixed(1)}%`;
  return el("ul", { className: "offers" }, list.map((one) => {
    const limit = one.threshold ?? threshold, below = one.accepted === false;
    const line = part("bar");
    line.firstElementChild.style.width = share(one.similarity || 0);
    if (typeof limit === "number") line.lastElementChild.style.left = share(limit);
    else line.lastElementChild.remove();
    const known = typeof one.similarity === "number";
    return el("li", { className: below ? "below" : "used" }, el("label", {},
      el("span", { className: "tick" }, box(one), say("number", { n: one.number })),
      figure(one.uri, altOf(one)),
      el("strong", { dir: "auto" }, nameOf(one)),
      one.concept ? el("small", {}, say("stands_for", { concept: one.concept })) : null,
      known ? el("div", { className: "score" }, line, el("span", { className: "number" }, cosine(one.similarity))) : null,
      known && typeof limit === "number" ? el("small", {}, `${say(below ? "below" : "reaches")} ${cosine(limit)}`) : null,
      el("small", { dir: "auto" }, creditOf(one))), link(pageOf(one)));
  }));
}

function chooser(list, { threshold, most, legend, buttons }) {
  const picked = [];  // in the order of choosing: the first is the best
  const status = el("span", { className: "mute", role: "status" });
  const boxes = new Map();
  const change = (one, on) => {
    if (on) picked.push(one); else picked.splice(picked.indexOf(one), 1);
    status.textContent = picked.length ? say("picked", { n: picked.length, most: Math.min(most || list.length, list.length) }) : "";
    enable();
  };
  const box = (one) => {
    const input = el("input", { type: "checkbox", onchange: (event) => change(one, event.target.checked) });
    boxes.set(one, input);
    return input;
  };
  const act = (button) => async () => {
    await perform([...form.querySelectorAll("button, input")], () => button.act([...picked]));
    enable();
  };
  const controls = buttons.map((button) => [button, el("button", {
    type: "button", className: button.main ? "main" : "", onclick: act(button),
  }, button.text)]);
  const enable = () => {
    const full = most && picked.length >= most;
    for (const [one, input] of boxes) input.disabled = full && !picked.includes(one);
    for (const [button, control] of controls) control.disabled = !button.fits(picked.length);
  };
  enable();
  const form = el("div", {},
    el("fieldset", {}, el("legend", {}, legend), offers(list, threshold, box)),
    el("div", { className: "actions" }, controls.map(([, control]) => control), status));
  return form;
}

function picker(view) {
  const most = view.max_selections || view.offered.length;
  return el("section", {}, chooser(view.offered, {
    most,
    legend: plural("which", most),
    buttons: [
      { text: say("use_these"), main: true, fits: (n) => n > 0, act: (picked) => choose(view, picked) },
      { text: say("use_none"), fits: (n) => n === 0, act: () => choose(view, []) },
      ...(view.may_edit ? [{ text: say("edit_it"), fits: (n) => n === 1, act: ([one]) => edit(view, one) }] : []),
    ],
  }));
}

function search(data) {
  stop();
  busy(false);
  state.shown = () => {
    const hits = data.hits || [];
    badge(plural("found", hits.length), "calm");
    const limit = typeof data.threshold === "number" ? say("limit", { limit: cosine(data.threshold) }) : "";
    put("status", [say("library", { library: data.library }), limit, data.note].filter(Boolean).join(" · "));
    const buttons = [{ text: say("use_these"), main: true, fits: (n) => n > 0, act: (picked) => propose(data, picked) }];
    show(hits.length
      ? el("section", {}, chooser(hits, { threshold: data.threshold, most: 0, legend: say("pick"), buttons: can("message") || can("updateModelContext") ? buttons : [] }))
      : el("p", { className: "nothing" }, say("nothing_found")));
  };
  state.shown();
}

// Run what a click asks for: its controls are of no use meanwhile, and what the host refuses is said.
async function perform(controls, work) {
  rest(controls);
  told("");
  try { await work(); } catch (error) { told(`${say("refused_by_host")} ${error.message}`.slice(0, 400)); }
}

// What is wanted of a run: a call of ours where the host lets apps call tools, else words to the model.
async function goOn(view, given, wish, named = given) {
  if (can("serverTools")) return proceed("continue_run", { run_id: view.run_id, ...given, wait: false, thumbnail: false });
  const more = Object.entries(named).map(([name, value]) => `, ${name}=${JSON.stringify(value)}`);
  await tell(`${wish} (continue_run, run_id="${view.run_id}"${more.join("")})`, true);
}

function choose(view, picked) {
  const numbers = picked.map((one) => String(one.number));
  return goOn(view, { choose: numbers }, numbers.length ? say("message_choose", { numbers: numbers.join(", ") }) : say("message_none"));
}

function edit(view, one) {
  const number = String(one.number);
  return goOn(view, { edit: number }, say("message_edit", { number }));
}

async function propose(data, picked) {
  const uris = picked.map((one) => one.uri);
  await tell(`${say("message_use")} ${uris.join(", ")} (continue_run, add_images=${JSON.stringify(uris)})`, true);
}

function actions(view) {
  if (!view.run_id || view.status !== "ended") return null;
  const used = (view.references || []).filter((one) => one.role === "reference");
  const buttons = [];
  const add = (text, act) => buttons.push(el("button", { type: "button", onclick: async () => {
    await perform(buttons, act);
    for (const each of buttons) each.disabled = false;
  } }, text));
  if (used.length) add(say("other_references"), () => another(view, used));
  if (view.redraw && can("serverTools")) add(say("other_seed"), () => proceed("start_image", view.redraw));
  if (view.image && can("downloadFile")) add(say("download"), () => download(view.image));
  return [change(view), buttons.length ? el("div", { className: "actions" }, buttons) : null];
}

// A wish in words: the next run starts from this image.
function change(view) {
  if (!view.image || !(can("serverTools") || can("message"))) return null;
  // No form: hosts need not let frames submit any.
  const wish = el("input", { type: "text", maxLength: 2000, placeholder: say("wish_example"), onkeydown: (event) => event.key === "Enter" && submit() });
  const button = el("button", { type: "button", className: "main", onclick: () => submit() }, say("change_it"));
  const submit = async () => {
    await perform([button, wish], () => wanted(view, wish.value.trim()));
    button.disabled = wish.disabled = false;
  };
  return el("div", { className: "change-it" }, el("label", {}, say("wish"), wish), button);
}

async function wanted(view, feedback) {
  if (feedback) await goOn(view, { feedback }, feedback, {});
}

function another(view, used) {
  return goOn(view, { exclude_images: used.map((one) => one.uri) }, say("message_other"));
}

async function proceed(tool, given) {
  const begun = await callTool(tool, given);
  const data = begun.structuredContent || {};
  if (begun.isError || !data.run_id) return told(textOf(begun) || say("failed"));
  stop();
  state.tool = tool;
  state.runId = data.run_id;
  state.key = "";
  state.looks = 0;
  state.after = report;
  busy(true);
  put("status", say("drawing"));
  await look();
}

// What came of a call of ours: the model has not seen it, so it is told.
async function report(view) {
  state.after = null;
  const done = await callTool("run_result", { run_id: view.run_id, wait_s: 0, thumbnail: false });
  await tell(`${say("message_done")}\n${textOf(done)}`, false);
}

async function tell(text, now) {
  const content = [{ type: "text", text }];
  const asMessage = can("message") && (now || !can("updateModelContext"));
  if (!asMessage && !can("updateModelContext")) return told(text);
  const answered = asMessage
    ? await request("ui/message", { role: "user", content })
    : await request("ui/update-model-context", { content });
  told(answered.isError ? text : say(now ? "passed_on" : "model_knows"));
}

async function download(image) {
  const name = `imagerag-${image.uri.slice(8, 20)}.${(image.media_type.split("/")[1] || "png").replace(/[^a-z0-9]/g, "")}`;
  const contents = [{ type: "resource_link", uri: image.uri, name, mimeType: image.media_type }];
  const answered = await request("ui/download-file", { contents });
  if (answered.isError) told(say("not_downloaded"));
}

start().catch((error) => failed(error.message));
