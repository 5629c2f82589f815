// The list of runs: filters that act at once, rows that follow as it is scrolled, and several runs picked.
import { attempt, newest } from "./app.js";
import { letMark } from "./favourite.js";
import { removeRuns } from "./removal.js";
import { followRows } from "./rows.js";

const texts = JSON.parse(document.getElementById("runs-texts").textContent);
const filters = document.getElementById("filters");
const listed = document.getElementById("listed");
const bar = document.getElementById("picked");
const compare = document.getElementById("compare");
const watch = followRows(listed);
let waiting;
const listing = newest();

const boxes = () => [...listed.querySelectorAll(".pick input:checked")];

function showPicked() {
  const number = boxes().length;
  bar.hidden = !number;
  compare.disabled = number !== 2;
  document.getElementById("picked-count").textContent = (number === 1 ? texts["picked.one"] : texts["picked.other"]).replace("{n}", number);
}

/** The list anew, as the form says; the address says it too, for a reload. */
async function filter() {
  const query = new URLSearchParams([...new FormData(filters)].filter(([, value]) => value));
  const address = query.size ? `/runs?${query}` : "/runs";
  const html = await attempt(null, () => listing(address));
  if (html === undefined) return;
  history.replaceState(null, "", address);
  const fresh = new DOMParser().parseFromString(html, "text/html").getElementById("listed");
  listed.replaceChildren(...fresh.childNodes);
  showPicked();
  watch();
}

filters.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(filter, 250);
});
filters.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(waiting);
  filter();
});

listed.addEventListener("change", showPicked);

compare.addEventListener("click", () => {
  // The older one first: the list has the newest on top.
  const [b, a] = boxes().map((box) => box.value);
  location.assign(`/compare?${new URLSearchParams({ a, b })}`);
});
document.getElementById("clear").addEventListener("click", () => {
  boxes().forEach((box) => { box.checked = false; });
  showPicked();
});
document.getElementById("remove").addEventListener("click", async ({ target }) => {
  const gone = new Set(await removeRuns(boxes().map((box) => box.value), target));
  if (gone.size) await filter();
});

showPicked();
letMark(listed);
