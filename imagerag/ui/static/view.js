// Moving and enlarging images together: wheel, drag, pinch, double click.

const MOST = 32;

export class View {
  /** Images of one stage; each lies in a pane, and all panes are of one size. `told` hears the scale. */
  constructor(stage, images, told) {
    Object.assign(this, { stage, images, told, scale: 1, x: 0, y: 0, pointers: new Map() });
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 400), this.#point(event));
    }, { passive: false });
    stage.addEventListener("dblclick", (event) => (this.scale > 1 ? this.reset() : this.zoom(2.5, this.#point(event))));
    stage.addEventListener("pointerdown", (event) => this.#down(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, ({ pointerId }) => this.pointers.delete(pointerId));
    new ResizeObserver(() => this.place()).observe(stage);
  }

  /** Enlarge about a point of a pane, its middle where there is none. */
  zoom(by, at) {
    const { width, height } = this.#pane();
    const { x, y } = at ?? { x: width / 2, y: height / 2 };
    const scale = Math.min(MOST, Math.max(1, this.scale * by));
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.place();
  }

  /** The whole images. */
  reset() {
    Object.assign(this, { scale: 1, x: 0, y: 0 });
    this.place();
  }

  /** Put the images where they are to be, never so far that a pane is empty. */
  place() {
    const { width, height } = this.#pane();
    this.x = Math.min(0, Math.max(width * (1 - this.scale), this.x));
    this.y = Math.min(0, Math.max(height * (1 - this.scale), this.y));
    for (const image of this.images) {
      image.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
      image.classList.toggle("pixels", this.scale >= 4);
    }
    this.stage.classList.toggle("enlarged", this.scale > 1);
    this.told(this.scale);
  }

  #pane() {
    return this.images[0].parentElement.getBoundingClientRect();
  }

  /** Where in a pane something happened; side by side, the same place in either is the same point. */
  #point({ clientX, clientY }) {
    const panes = this.images.map((image) => image.parentElement.getBoundingClientRect());
    const pane = panes.find(({ left, right }) => clientX >= left && clientX <= right) ?? panes[0];
    return { x: clientX - pane.left, y: clientY - pane.top };
  }

  #slide(event) {
    const { left, width } = this.stage.getBoundingClientRect();
    const detail = Math.min(1, Math.max(0, (event.clientX - left) / width));
    this.stage.dispatchEvent(new CustomEvent("slide", { detail }));
  }

  #down(event) {
    if (event.button) return;
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event);
    this.onDivider = event.target.id === "divider" || this.scale === 1;
    if (this.pointers.size === 1 && this.onDivider) this.#slide(event);
  }

  #move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    if (this.pointers.size === 2) {
      const other = [...this.pointers.values()].find(({ pointerId }) => pointerId !== event.pointerId);
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
      this.zoom(apart(event) / apart(before), this.#point(other));
    } else if (this.onDivider) {
      this.#slide(event);
    } else {
      this.x += event.clientX - before.clientX;
      this.y += event.clientY - before.clientY;
      this.place();
    }
    this.pointers.set(event.pointerId, event);
  }
}
