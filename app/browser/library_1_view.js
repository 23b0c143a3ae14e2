// The second view of the page: the library, for who may see it. The program says whether there is one for this person,
// and refuses every event where there is none.
"use strict";
(() => {
  const { $, $$ } = loop;
  const library = { ...loop.wire("library"), panel: "review" };
  loop.curation = library;
  const entered = {}; // panel -> what to do when it comes into view
  library.enters = (panel, deed) => (entered[panel] = deed);

  const view = loop.view_of("library", {
    title: "Library",
    side: "Filters",
    enter: () => {
      library.say("library");
      entered[library.panel]?.();
    },
    leave: () => calm(),
  });
  Object.defineProperty(library, "shown", { get: () => view.shown });

  library.to = (panel) => {
    library.panel = panel;
    calm();
    $("#library").dataset.panel = panel;
    for (const tab of $$("#library .panels [role=tab]")) tab.setAttribute("aria-selected", String(tab.dataset.value === panel));
    entered[panel]?.();
  };
  loop.does("library-panel", (element) => library.to(element.dataset.value));

  // -- what was done, and the way back
  let undo = null; // {action, answer}: what Undo takes back, and the one answer that it was about
  let hiding;
  library.tell = (words, { back = null, failed = false } = {}) => {
    undo = back;
    $("#toast .words").textContent = words;
    $('#toast [data-do="undo"]').hidden = back === null;
    $("#toast").classList.toggle("failed", failed);
    $("#toast").hidden = !words;
    clearTimeout(hiding);
    if (back === null && !failed) hiding = setTimeout(() => library.tell(""), 6000);
  };
  // A refusal stays until it is read, and not beyond the part that it was about.
  function calm() {
    if ($("#toast").classList.contains("failed")) library.tell("");
  }
  loop.does("hide-toast", () => library.tell(""));
  loop.does("undo", () => {
    if (undo === null) return;
    // Asked for first: what undo itself says of the answer comes after it, and is what stays.
    if (undo.answer !== null) library.choose(undo.answer);
    library.say("undo", undo);
    library.tell("Taking it back");
  });
  loop.does("undo-action", (element) => {
    element.disabled = true;
    library.say("undo", { action: Number(element.dataset.action) });
  });
  loop.on("library_said", (feed) => {
    library.tell(feed.words, { back: feed.undo === null ? null : { action: feed.undo, answer: feed.answer }, failed: feed.failed });
    if (feed.failed) return;
    if (feed.changed) entered[library.panel]?.();
    else library.recount();
  });
  loop.on("library_trail", (feed) => ($("#trail").innerHTML = feed.html));
  library.enters("trail", () => library.say("trail"));

  loop.on("library_door", (feed) => {
    view.offer();
    library.offer?.(feed);
  });
  loop.start(() => library.say("library"));
})();
