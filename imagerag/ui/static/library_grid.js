// All images of a library in a grid of which only what is near the screen is in the page: memory stays the same for 20
// and for 200,000.
import { fragment, make, request } from "./app.js";
import { text } from "./library_texts.js";

const TILE = 168;
const GAP = 16;
const NAME = 34;
const ROWS = 8;
const MOST = 200000;
/** Pixels above and below the screen that are kept. */
const AROUND = 1200;

export class Grid {
  /** `box` is filled; `fetchPart(offset, limit)` resolves to `{total, html, no_match}`; `onTotal` hears the total. */
  constructor(box, fetchPart, onTotal) {
    Object.assign(this, { box, fetchPart, onTotal, sheets: [], total: 0, columns: 0, generation: 0 });
    this.watch = new IntersectionObserver((entries) => entries.forEach((one) => this.seen(one)), { rootMargin: `${AROUND}px 0px` });
    this.resize = new ResizeObserver(() => { if (this.fit() !== this.columns) this.lay(); });
    this.resize.observe(box);
  }

  fit() {
    return Math.max(2, Math.floor((this.box.clientWidth + GAP) / (TILE + GAP)));
  }

  /** Show everything anew, from what the server has now. */
  async load() {
    const first = await this.fetchPart(0, this.fit() * ROWS);
    this.total = Math.min(first.total, MOST);
    this.onTotal(first);
    this.lay(first.html);
  }

  /** Show everything anew if there are more or fewer images now. */
  async refresh() {
    const { total } = await this.fetchPart(0, 1);
    if (Math.min(total, MOST) !== this.total) await this.load();
  }

  lay(html) {
    this.generation += 1;
    this.columns = this.fit();
    this.watch.disconnect();
    const width = (this.box.clientWidth - GAP * (this.columns - 1)) / this.columns;
    const row = width + NAME + GAP;
    const each = this.columns * ROWS;
    this.box.style.setProperty("--columns", this.columns);
    this.sheets = [];
    for (let offset = 0; offset < this.total; offset += each) {
      const rows = Math.ceil(Math.min(each, this.total - offset) / this.columns);
      const sheet = make("ol", { className: "sheet", start: offset + 1 });
      sheet.style.height = `${rows * row}px`;
      sheet.dataset.offset = offset;
      this.sheets.push(sheet);
    }
    this.box.replaceChildren(...this.sheets);
    if (html && this.sheets[0]) this.sheets[0].replaceChildren(...fragment(html));
    this.sheets.forEach((sheet) => this.watch.observe(sheet));
  }

  seen({ target, isIntersecting }) {
    clearTimeout(target.waiting);
    if (!isIntersecting) {
      target.wanted = false;
      target.abort?.abort();
      if (!target.contains(document.activeElement)) target.replaceChildren();
      return;
    }
    target.wanted = true;
    // A sheet that flies by while the scroll bar is dragged asks for nothing.
    if (!target.firstChild) target.waiting = setTimeout(() => this.read(target), 80);
  }

  async read(sheet) {
    const { generation } = this;
    sheet.abort = new AbortController();
    try {
      const part = await this.fetchPart(Number(sheet.dataset.offset), this.columns * ROWS, sheet.abort.signal);
      if (generation !== this.generation) return;
      if (Math.min(part.total, MOST) !== this.total) {  // somebody else changed the library
        this.total = Math.min(part.total, MOST);
        this.onTotal(part);
        this.lay();
      } else if (sheet.wanted) sheet.replaceChildren(...fragment(part.html));
    } catch (error) {
      if (error.name !== "AbortError" && sheet.wanted) sheet.replaceChildren(make("li", { className: "error" }, error.message));
    }
  }
}

/** How the number of images is told. */
export function told(total) {
  return total > MOST ? text("first_shown", { shown: MOST, n: total }) : text("pictures", { n: total });
}

/** Reads parts of a library's images in an order, those that a filter lets through. */
export function partsOf(address, { filter = "", order = "newest" }) {
  return (offset, limit, signal) => {
    const query = new URLSearchParams({ offset, limit, order });
    if (filter) query.set("filter", filter);
    return request(`${address}/part?${query}`, { signal });
  };
}
