// A call begins.
function begin(given) {
  if (typeof given.run_id === "string") state.runId = given.run_id;
  const text = given.prompt || given.query || given.feedback || "";
  put("prompt", typeof text === "string" ? text : "");
  state.shown = () => { put("status", state.tool === "search_references" ? say("searching") : say("drawing")); };
  state.shown();
  badge(say("running"));
  busy(true);
}

// A result of the model's call. What the app can ask for says more, and how the run stands by now.
async function result(given) {
  stop();
  const data = given.structuredContent || {};
  const text = textOf(given);
  if (given.isError && data.kind !== "run") return failed(text);
  if (data.kind === "search") return search(data);
  state.runId = data.run_id || (/^run_id: ([\w-]{4,100})$/m.exec(text) || [])[1] || "";
  const round = state.polls;
  const found = state.runId && (await look());
  if (found || round !== state.polls) return;
  if (data.kind === "run") return run(data);
  busy(false);
  badge("");
  state.shown = () => { put("status", ""); show(el("p", {}, text || say("nothing"))); };
  state.shown();
}

function failed(text) {
  busy(false);
  badge(say("failed"), "bad");
  put("status", "");
  show(el("p", { className: "error", role: "alert" }, text || say("failed")));
}

function cancelled(reason) {
  stop();
  busy(false);
  badge(say("cancelled"), "calm");
  put("status", say("cancelled_meaning"));
  told(typeof reason === "string" ? reason.slice(0, 400) : "");
  if (state.runId && can("serverTools")) setTimeout(look, POLL_MS);
}

// Following a run.
function stop() {
  clearTimeout(state.timer);
  state.timer = 0;
  state.polls += 1;  // what is on its way belongs to what was looked at before
}

// Show how the run stands, and again as long as it goes on. Gives whether there was anything to show.
async function look() {
  clearTimeout(state.timer);
  const begun = state.requestId === undefined ? null : { request_id: String(state.requestId) };
  const given = state.runId ? { run_id: state.runId } : begun;
  if (state.over || !can("serverTools") || !given || state.tool === "search_references") return false;
  const round = state.polls;
  const view = await callTool("run_view", given).then((found) => !found.isError && found.structuredContent, () => null);
  if (round !== state.polls || state.over) return false;
  const shown = Boolean(view && view.kind === "run");
  if (shown) {
    state.runId = view.run_id;
    run(view);
    if (!view.live) state.after?.(view);
  }
  state.misses = shown ? 0 : state.misses + 1;
  if (shown ? view.live : !state.runId && state.misses < MISSES) state.timer = setTimeout(look, pause());
  return shown;
}

// One second at first, and longer for runs that take minutes: each look is a call that the host passes on.
function pause() {
  state.looks += 1;
  return Math.min(LONGEST_PAUSE_MS, POLL_MS * (1 + state.looks / 20));
}

function run(view) {
  state.shown = () => drawRun(view);
  const key = JSON.stringify(view, (name, value) => (name === "elapsed_s" ? 0 : value));
  if (key === state.key && words === state.keyWords) return;  // what is being read or chosen stays as it is
  state.key = key;
  state.keyWords = words;
  drawRun(view);
}

function drawRun(view) {
  if (view.prompt) put("prompt", view.prompt);
  const running = view.status === "running" && view.live !== false;
  const standing = view.outcome ? label("OUTCOMES", view.outcome) : label("STATUSES", view.status);
  badge(running ? say("running") : standing.name, running ? "calm" : standing.tone);
  busy(running);
  const step = view.node ? label("NODES", view.node).name : "";
  put("status", running ? (step ? say("step", { step }) : say("drawing")) : standing.meaning);
  if (view.status === "interrupted") return show(picker(view), attempts(view), passedOver(view));
  show(
    running ? unfinished(view) : outcome(view),
    attempts(view),
    references(view),
    running ? null : passedOver(view),
    running ? null : actions(view),
    facts(view),
  );
}

function unfinished(view) {
  return view.partial ? el("section", { className: "outcome", "aria-label": say("partial") }, figure(view.partial, say("partial"), LARGE)) : null;
}

function outcome(view) {
  const best = (view.attempts || []).find((one) => one.index === view.best_attempt);
  const uri = view.image ? view.image.uri : best ? best.uri : "";
  const meaning = (TEXTS.en.labels.OUTCOMES[view.outcome] || {}).meaning;
  const lacking = (view.unresolved || []).map((text) => el("li", {}, text));
  const beside = el("div", {},
    view.reason && view.reason !== meaning ? el("p", { className: "lead" }, view.reason) : null,
    best ? checklist(best) : lacking.length ? [el("h3", {}, say("missing")), el("ul", { className: "lacking" }, lacking)] : null,
    (view.warnings || []).map((text) => el("p", { className: "note" }, text)),
  );
  if (!uri) return el("section", { className: "outcome" }, el("p", { className: "nothing none" }, say("nothing_drawn")), beside);
  return el("section", { className: "outcome", "aria-label": say("result") }, figure(uri, say("result_of", { prompt: view.prompt || "" }), LARGE), beside);
}

function checklist(attempt) {
  if (!attempt.checks || !attempt.checks.length) return el("p", { className: "unjudged" }, verdict(attempt));
  return el("ul", { className: "checks" }, attempt.checks.map((check) => {
    const mark = part(check.met ? "mark-yes" : "mark-no");
    mark.setAttribute("aria-label", say(check.met ? "met" : "not_met"));
    const kind = label("KINDS", check.kind).name;
    return el("li", { className: check.met ? "" : "no" }, mark, el("div", {}, check.text,
      check.kind !== "content" && kind ? el("span", { className: "kind" }, kind) : null,
      check.evidence ? el("small", {}, check.evidence) : null));
  }));
}

function verdict(attempt) {
  if (attempt.judged === null || attempt.judged === undefined) return say("not_judged");
  if (!attempt.judged || attempt.aligned === null) return say("no_verdict");
  if (attempt.checks.length) return say("met_of", { met: attempt.checks.filter((one) => one.met).length, all: attempt.checks.length });
  return say(attempt.aligned ? "is_aligned" : "not_aligned");
}

function attempts(view) {
  const made = view.attempts || [];
  if (!made.length || (made.length === 1 && view.status === "ended")) return null;
  return el("section", {}, el("h2", {}, say("attempts")), el("ol", { className: "strip" }, made.map((one) => {
    const name = say("attempt", { n: one.index + 1 });
    const best = one.index === view.best_attempt && view.status === "ended";
    return el("li", { className: best ? "best" : "" }, figure(one.uri, name),
      el("div", {}, `${name} · ${verdict(one)}`),
      el("small", {}, one.references ? plural("drawn_with", one.references) : say("drawn_alone")),
      one.checks.some((check) => !check.met) ? el("details", {}, el("summary", {}, say("checklist")), checklist(one)) : null);
  })));
}

function credit(one) {
  const similarity = typeof one.similarity === "number" ? `${say("similarity")} ${cosine(one.similarity)}` : "";
  return el("li", {}, picture(one.uri, altOf(one)), el("div", {}, el("strong", { dir: "auto" }, nameOf(one)),
    el("small", {}, [one.concept ? say("stands_for", { concept: one.concept }) : "", similarity].filter(Boolean).join(" · ")),
    el("small", {}, ["subject", "edit"].includes(one.role) ? say("own_image") : creditOf(one)), link(pageOf(one))));
}

function references(view) {
  const web = (view.sources || []).map((one) => el("li", {}, el("strong", {}, one.title || site(one.page || one.image)), " ", link(one.page || one.image)));
  if (!(view.references || []).length && !web.length) return null;
  return el("section", {}, el("h2", {}, say("references")), el("ul", { className: "credits" }, view.references.map(credit)),
    web.length ? [el("h3", {}, say("web_sources")), el("ul", {}, web)] : null);
}

// Candidates that were not sent, and why.
function passedOver(view) {
  const passed = (view.candidates || []).filter((one) => !["taken", "offered"].includes(one.decision));
  if (!passed.length) return null;
  const list = el("ul", { className: "credits" });
  const fill = () => { if (!list.children.length) list.append(...passed.map(passedOne)); };  // its images are read then
  return el("details", { ontoggle: fill }, el("summary", {}, plural("passed_over", passed.length)), list);
}

function passedOne(one) {
  const item = credit(one), why = label("DECISIONS", one.decision);
  const limit = typeof one.threshold === "number" ? ` (${say("threshold")} ${cosine(one.threshold)})` : "";
  const reason = one.decision === "below_threshold" ? `${why.name}${limit}` : `${why.name}: ${why.meaning}`;
  item.lastChild.append(el("small", {}, reason));
  return item;
}

function facts(view) {
  if (!view.run_id) return null;
  const atMost = view.assumed_usd || view.unsettled_usd ? "≤ " : "";
  const cost = typeof view.cost_usd !== "number" ? say("unknown") : `${atMost}$${view.cost_usd.toFixed(view.cost_usd && view.cost_usd < 0.1 ? 4 : 2)}`;
  const rows = [[say("run"), el("code", {}, view.run_id)], view.status === "ended" ? [say("cost"), cost] : null];
  return el("dl", { className: "facts" }, rows.filter(Boolean).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}
