// The second view of the page: the library, for who may see it. Which view is shown stands in the address; the program
// says whether there is a library for this person, and refuses every event where there is none.
"use strict";
(() => {
  const { $, $$ } = loop;
  const waiting = [];
  let trigger = null;
  const library = {
    open: false, // whether the program has said that there is one
    shown: false,
    panel: "review",
    say: (event, data = {}) => (trigger ? trigger(`library_${event}`, data) : waiting.push([event, data])),
    connect: (real) => {
      trigger = real;
      for (const [event, data] of waiting.splice(0)) library.say(event, data);
    },
  };
  loop.library = library;
  const entered = {}; // panel -> what to do when it comes into view
  library.enters = (panel, deed) => (entered[panel] = deed);

  const inAddress = () => new URLSearchParams(location.search).has("library");
  function show(view) {
    library.shown = view === "library";
    $(".room").dataset.view = view;
    for (const button of $$("#views button")) {
      if (button.dataset.do === `show-${view}`) button.setAttribute("aria-current", "page");
      else button.removeAttribute("aria-current");
    }
    $(".side").setAttribute("aria-label", library.shown ? "Filters" : "Conversations");
    if (!library.shown) return;
    document.title = "Library – LLaVA Loop";
    library.say("library");
    entered[library.panel]?.();
  }
  loop.does("show-library", () => {
    if (library.shown) return;
    history.pushState({}, "", "?library");
    loop.closeSides();
    show("library");
  });
  loop.does("show-chat", () => { if (library.shown) loop.open(loop.conversation); });
  // Whatever opens a conversation, or a new one, leads back to the chat.
  const openChat = loop.open;
  loop.open = (id, step = "pushState") => {
    if (library.shown && !(step === "" && inAddress())) show("chat");
    openChat(id, step);
  };

  library.to = (panel) => {
    library.panel = panel;
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
    if (!library.open) {
      library.open = true;
      $("#views").hidden = false;
      if (inAddress()) show("library");
    }
    library.offer?.(feed);
  });
  loop.start(() => {
    $(".room").dataset.view = "chat";
    window.addEventListener("popstate", () => library.open && show(inAddress() ? "library" : "chat"));
    library.say("library");
  });
})();
