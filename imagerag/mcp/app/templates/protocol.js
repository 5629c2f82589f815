"use strict";
// The app talks to its host alone, by JSON-RPC in messages of the window (MCP Apps, 2026-01-26). Foreign text goes into
// text nodes and attributes that hold no code.

const VERSION = "2026-01-26", POLL_MS = 1000, LONGEST_PAUSE_MS = 4000, MISSES = 5, SMALL = 320, LARGE = 1024;
const TEXTS = JSON.parse(document.getElementById("texts").textContent);
const host = window.parent;
const state = { capabilities: {}, tool: "", runId: "", requestId: undefined, polls: 0, misses: 0, looks: 0, timer: 0, over: false };
let words = TEXTS.en;

// The protocol.
const pending = new Map();
let nextId = 1;

function post(message) { host.postMessage({ jsonrpc: "2.0", ...message }, "*"); }

function notify(method, params = {}) { post({ method, params }); }

function request(method, params) {
  const id = nextId++;
  return new Promise((resolve, reject) => {
    pending.set(id, { resolve, reject });
    post({ id, method, params });
  });
}

window.addEventListener("message", (event) => {
  const message = event.data;
  if (event.source !== host || !message || message.jsonrpc !== "2.0") return;
  if (message.method === undefined) settle(message);
  else if (message.id === undefined) (NOTICES[message.method] || (() => {}))(message.params || {});
  else answer(message);
});

function settle({ id, result, error }) {
  const waiting = pending.get(id);
  if (!waiting) return;
  pending.delete(id);
  if (error) waiting.reject(new Error(String(error.message || error.code)));
  else waiting.resolve(result || {});
}

function answer({ id, method }) {
  if (method === "ping") return post({ id, result: {} });
  if (method !== "ui/resource-teardown") return post({ id, error: { code: -32601, message: "Method not found" } });
  stop();
  state.over = true;
  post({ id, result: {} });
}

const NOTICES = {
  "ui/notifications/tool-input-partial": (params) => begin(params.arguments || {}),
  "ui/notifications/tool-input": (params) => { begin(params.arguments || {}); look(); },
  "ui/notifications/tool-result": (params) => result(params),
  "ui/notifications/tool-cancelled": (params) => cancelled(params.reason),
  "ui/notifications/host-context-changed": (params) => context(params),
};

async function start() {
  const greeting = await request("ui/initialize", {
    appInfo: { name: "imagerag", version: TEXTS.version },
    appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
    protocolVersion: VERSION,
  });
  state.capabilities = greeting.hostCapabilities || {};
  context(greeting.hostContext || {});
  notify("ui/notifications/initialized");
  new ResizeObserver(size).observe(document.documentElement);
  size();
}

let lastSize = "";
function size() {
  const box = document.documentElement.getBoundingClientRect();
  const now = { width: Math.ceil(box.width), height: Math.ceil(box.height) };
  if (JSON.stringify(now) === lastSize) return;
  lastSize = JSON.stringify(now);
  notify("ui/notifications/size-changed", now);
}

function context(changed) {
  if (changed.theme) document.documentElement.style.colorScheme = changed.theme === "dark" ? "dark" : "light";
  if (changed.locale) {
    const language = String(changed.locale).split("-")[0].toLowerCase();
    words = TEXTS[language] || TEXTS.en;
    document.documentElement.lang = TEXTS[language] ? language : "en";
    if (state.shown) state.shown();
  }
  const insets = changed.safeAreaInsets;
  if (insets) for (const side of ["top", "right", "bottom", "left"]) document.body.style.setProperty(`padding-${side}`, `${Number(insets[side]) || 0}px`);
  if (changed.toolInfo) {
    state.tool = String((changed.toolInfo.tool || {}).name || "");
    state.requestId = changed.toolInfo.id;
  }
}

const textOf = (result) => (result.content || []).filter((one) => one.type === "text").map((one) => one.text).join("\n");
const callTool = (name, given) => request("tools/call", { name, arguments: given });
const can = (capability) => state.capabilities[capability] !== undefined;
