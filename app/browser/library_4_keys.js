// The keys of the review queue: j and k move, a approves, r rejects, e edits, t tags, u takes back.
"use strict";
(() => {
  const KEYS = {
    j: () => loop.library.step(1),
    k: () => loop.library.step(-1),
    a: () => loop.act("library-approve"),
    r: () => loop.act("library-reject"),
    e: () => loop.act("library-edit"),
    t: () => loop.act("library-tag"),
    u: () => loop.act("undo"),
  };
  document.addEventListener("keydown", (event) => {
    const library = loop.library;
    if (!library.shown || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") delete loop.$("#library").dataset.desk;
    if (library.panel !== "review" && event.key !== "u") return;
    const deed = KEYS[event.key];
    if (!deed) return;
    event.preventDefault();
    deed();
  });
})();
