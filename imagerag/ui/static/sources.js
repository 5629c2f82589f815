// The images that a person hands in: dropped, pasted, chosen or picked; what each is for, its name and its mask.
import { attempt, request, tell, text, upload } from "./app.js";
import { paintMask } from "./mask.js";
import { pick } from "./picker.js";

export class Sources {
  /** @param changed called after every change. */
  constructor(box, texts, changed) {
    this.texts = texts;
    this.changed = changed;
    this.list = box.querySelector("#source-list");
    this.most = Number(document.getElementById("draw").dataset.mostImages);
    this.images = [];
    this.listen(box, box.querySelector("#drop"));
  }

  listen(box, drop) {
    const files = box.querySelector("#files");
    files.addEventListener("change", () => this.take(files.files).then(() => { files.value = ""; }));
    // Anywhere on the page: beside the field, the browser would leave the form and show the file.
    const holdsFiles = (event) => event.dataTransfer.types.includes("Files");
    document.addEventListener("dragover", (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      drop.classList.add("over");
    });
    document.addEventListener("dragleave", () => drop.classList.remove("over"));
    document.addEventListener("drop", (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      drop.classList.remove("over");
      this.take(event.dataTransfer.files);
    });
    document.addEventListener("paste", (event) => {
      if (event.clipboardData.files.length) this.take(event.clipboardData.files);
    });
    for (const button of box.querySelectorAll("[data-pick]")) {
      button.addEventListener("click", () => pick(button.dataset.pick, (image) => this.add(image)));
    }
    const named = box.querySelector("#named");
    const takeNamed = () => attempt(box.querySelector("#take-named"), async () => {
      this.add(await request("/images/named", { method: "POST", body: { source: named.value } }));
      named.value = "";
    });
    box.querySelector("#take-named")?.addEventListener("click", takeNamed);
    named?.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      takeNamed();
    });
  }

  async take(files) {
    const failed = [];
    for (const file of files) {
      try {
        this.add({ ...await upload(file), title: file.name });
      } catch (error) {
        failed.push(error.message);
      }
    }
    if (failed.length) tell(text("failed", { message: failed.join("; ") }), "bad");
  }

  add(image) {
    if (this.images.some((one) => one.sha256 === image.sha256 && one.library === (image.library ?? ""))) return;
    if (this.images.length >= this.most) {
      tell(this.texts.no_more_images.replace("{most}", this.most), "bad");
      return;
    }
    this.images.push({ use: "subject", name: "", library: "", ...image });
    this.show();
    this.changed();
  }

  /** The part of the request that says which images there are. */
  body() {
    const masked = this.masked();
    const images = this.images.map(({ sha256, library, use, name }) => ({ sha256, library, use, name }));
    return { images, mask: masked?.mask?.sha256 ?? null };
  }

  saved() {
    return this.images;
  }

  restore(images) {
    this.images = images ?? [];
    this.show();
  }

  /** The image that a mask is for: the one to edit, else the first subject. */
  masked() {
    return this.images.find((one) => one.use === "edit") ?? this.images.find((one) => one.use === "subject");
  }

  show() {
    const template = document.getElementById("source-card").content.firstElementChild;
    this.list.replaceChildren(...this.images.map((image) => this.card(template.cloneNode(true), image)));
  }

  card(card, image) {
    const query = image.library ? `&library=${encodeURIComponent(image.library)}` : "";
    const picture = card.querySelector("img");
    picture.src = `/images/${image.sha256}?side=384${query}`;
    picture.alt = image.title ?? "";
    picture.addEventListener("error", () => { card.classList.add("lost"); });
    const [use, name, mask] = ["[data-use]", "[data-name] input", "[data-mask]"].map((one) => card.querySelector(one));
    use.value = image.use;
    name.value = image.name;
    name.parentElement.hidden = image.use === "initial_image";
    mask.hidden = image !== this.masked();
    card.querySelector("[data-mask-share]").textContent = mask.hidden || !image.mask ? "" : this.texts.masked.replace("{share}", image.mask.share);
    use.addEventListener("change", () => {
      image.use = use.value;
      // One image is edited, and one begins with: the others are subjects then.
      for (const other of this.images) if (other !== image && other.use === image.use && image.use !== "subject") other.use = "subject";
      this.show();
      this.changed();
    });
    name.addEventListener("input", () => { image.name = name.value; });
    mask.addEventListener("click", () => attempt(mask, async () => {
      const painted = await paintMask(image, query);
      if (painted === undefined) return;
      image.mask = painted;
      this.show();
      this.changed();
    }));
    card.querySelector("[data-remove]").addEventListener("click", () => {
      this.images = this.images.filter((one) => one !== image);
      this.show();
      this.changed();
      document.getElementById("files").focus();
    });
    return card;
  }
}
