// The keys of the review queue: j and k move, a approves, r rejects, e edits, t tags, g is a good answer, b a bad one,
// 1 to 6 what was wrong with it, o opens one's own conversation, u takes back.
"use strict";
(() => {
  const KEYS = {
    j: () => loop.curation.step(1),
    k: () => loop.curation.step(-1),
    a: () => loop.act("library-approve"),
    r: () => loop.act("library-reject"),
    e: () => loop.act("library-edit"),
    t: () => loop.act("library-tag"),
    g: () => loop.curation.rate("up"),
    b: () => loop.curation.rate("down"),
    o: () => loop.$('#desk [data-do="library-open"]')?.click(),
    u: () => loop.act("undo"),
  };
  document.addEventListener("keydown", (event) => {
    const library = loop.curation;
    if (!library.shown || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") delete loop.$("#library").dataset.desk;
    if (library.panel !== "review" && event.key !== "u") return;
    const deed = /^[1-6]$/.test(event.key) ? () => loop.curation.reason(Number(event.key)) : KEYS[event.key];
    if (!deed) return;
    event.preventDefault();
    deed();
  });
})();
