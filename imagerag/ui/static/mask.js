// Paints a mask: a PNG as large as the image, transparent where it may change. Strokes are kept and drawn anew, so that
// undoing costs no copies of the image.
import { attempt, upload } from "./app.js";

const dialog = document.getElementById("mask");
const canvas = dialog.querySelector("canvas");
const picture = dialog.querySelector("img");
const share = dialog.querySelector("[data-share]");
const size = dialog.querySelector("[data-size]");
const rectangle = dialog.querySelector("form.rectangle");
const SAMPLE = 64;

let context, operations, tool, stroke, finish;

/** Paint a mask for an image. Resolves to `{sha256, share, operations}`, to null where there is to be none any more,
 * or to undefined where it was left. */
export async function paintMask(image, query) {
  picture.src = `/images/${image.sha256}?side=2048${query}`;
  await picture.decode();
  const { width, height } = image.width ? image : await measured(image, query);
  Object.assign(canvas, { width, height });
  context = canvas.getContext("2d", { willReadFrequently: true });
  operations = structuredClone(image.mask?.operations ?? []);
  choose("brush");
  for (const [name, most] of [["left", width], ["width", width], ["top", height], ["height", height]]) rectangle[name].max = most;
  draw();
  dialog.showModal();
  return new Promise((resolve) => { finish = resolve; });
}

/** The size of an image whose size nobody told: a picked one comes with it. */
async function measured(image, query) {
  const whole = Object.assign(new Image(), { src: `/images/${image.sha256}?${query.slice(1)}` });
  await whole.decode();
  return { width: whole.naturalWidth, height: whole.naturalHeight };
}

function choose(name) {
  tool = name;
  for (const button of dialog.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", button.dataset.tool === name);
}

function draw() {
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = context.strokeStyle = "#0fa894";
  context.lineCap = context.lineJoin = "round";
  for (const one of operations) apply(one);
  dialog.querySelector("[data-do=undo]").disabled = !operations.length;
  const part = painted();
  share.textContent = share.dataset.text.replace("{share}", part);
}

function apply({ kind, erase, width, points, box }) {
  context.globalCompositeOperation = erase ? "destination-out" : "source-over";
  if (kind === "stroke") {
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(...points[0]);
    for (const point of points.length > 1 ? points.slice(1) : points) context.lineTo(...point);
    context.stroke();
  } else if (kind === "box") {
    context.fillRect(...box);
  } else {
    context.globalCompositeOperation = "source-out";
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  context.globalCompositeOperation = "source-over";
}

/** The painted share, in percent. */
function painted() {
  const small = new OffscreenCanvas(SAMPLE, SAMPLE).getContext("2d");
  small.drawImage(canvas, 0, 0, SAMPLE, SAMPLE);
  const { data } = small.getImageData(0, 0, SAMPLE, SAMPLE);
  let sum = 0;
  for (let at = 3; at < data.length; at += 4) sum += data[at];
  const percent = (100 * sum) / (255 * SAMPLE * SAMPLE);
  return percent > 0 && percent < 1 ? "< 1" : Math.round(percent);
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  const x = (event.clientX - box.left) * (canvas.width / box.width);
  const y = (event.clientY - box.top) * (canvas.height / box.height);
  return [Math.round(x), Math.round(y)];
}

/** The PNG: opaque but for what is painted. */
function mask() {
  const out = new OffscreenCanvas(canvas.width, canvas.height);
  const into = out.getContext("2d");
  into.fillRect(0, 0, out.width, out.height);
  into.globalCompositeOperation = "destination-out";
  into.drawImage(canvas, 0, 0);
  return out.convertToBlob({ type: "image/png" });
}

function close(result) {
  finish?.(result);
  finish = undefined;
  dialog.close();
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  const width = Math.max(1, Math.round((size.value / 200) * Math.min(canvas.width, canvas.height)));
  stroke = { kind: "stroke", erase: tool === "eraser", width, points: [place(event)] };
  operations.push(stroke);
  draw();
});
canvas.addEventListener("pointermove", (event) => {
  if (!stroke) return;
  const last = stroke.points.at(-1);
  stroke.points.push(place(event));
  apply({ ...stroke, points: [last, stroke.points.at(-1)] });
});
for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { stroke = undefined; draw(); });

rectangle.addEventListener("submit", (event) => {
  event.preventDefault();
  const box = ["left", "top", "width", "height"].map((name) => Number(rectangle[name].value));
  operations.push({ kind: "box", erase: event.submitter?.value === "remove", box });
  draw();
});

dialog.addEventListener("click", ({ target }) => {
  if (target.dataset.tool) choose(target.dataset.tool);
  const work = { undo: () => operations.pop(), invert: () => operations.push({ kind: "invert" }), clear: () => { operations = []; } }[target.dataset.do];
  if (work) { work(); draw(); }
});
dialog.querySelector("[data-close]").addEventListener("click", () => close(undefined));
dialog.addEventListener("cancel", () => close(undefined));
dialog.querySelector("[data-do=done]").addEventListener("click", ({ target }) => attempt(target, async () => {
  const part = painted();
  if (part === 0) return close(null);
  const { sha256 } = await upload(await mask());
  return close({ sha256, share: part, operations });
}));
