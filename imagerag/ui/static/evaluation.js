// The gallery of an evaluation, by the same script as its report.
const { data, images, texts } = JSON.parse(document.getElementById("gallery").textContent);
globalThis.showGallery(data, images, texts);
