// The built-in library while it is drawn: its page comes once it is there.
import "./library_tasks.js";

document.addEventListener("library-changed", () => {
  if (!document.querySelector(".task :is(.error, .note)")) location.reload();
});
