// The review queue: filters at the side, the answers that they mean, and the one that is being looked at.
"use strict";
(() => {
  const { $, $$ } = loop;
  const library = loop.curation;
  let key = null; // of the newest question to the program; what answers an older one is passed over
  let after = null; // where the next page begins
  let wanted = null; // the answer that was chosen last
  library.chosen = null;

  // -- filters: as the program understands them, days in the time of this browser
  const DAY = 1;
  const midnight = (day, later = 0) => {
    const [year, month, date] = day.split("-").map(Number);
    return new Date(year, month - 1, date + later).toISOString();
  };
  const NAMES = ["text", "state", "rating", "reason", "corrected", "has_picture", "tag", "model", "finish_reason", "since", "until"];
  library.filters = (form = $("#filters")) => {
    const data = new FormData(form);
    const given = Object.fromEntries(NAMES.map((name) => [name, data.get(name) || ""]).filter(([, value]) => value.trim()));
    for (const name of ["corrected", "has_picture"]) if (name in given) given[name] = given[name] === "yes";
    if (given.since) given.since = midnight(given.since);
    if (given.until) given.until = midnight(given.until, DAY);
    return given;
  };
  library.offer = ({ models, tags }) => {
    const offered = [["model", models], ["tag", tags]].flatMap(([name, values]) => $$(`.lines [name="${name}"]`).map((select) => [select, values]));
    for (const [select, values] of offered) {
      const chosen = select.value;
      select.replaceChildren(new Option("any", ""), ...values.map((value) => new Option(value, value)));
      if (values.includes(chosen)) select.value = chosen;
    }
    $("#library-tags").replaceChildren(...tags.map((tag) => new Option(tag, tag)));
  };
  library.renew = () => {
    key = loop.key();
    library.say("queue", { filters: library.filters(), key });
    $('[data-do="clear-filters"]').hidden = !Object.keys(library.filters()).length;
  };
  // What was decided stays in the list, so that the keys do not jump; only the number follows.
  let counting = null;
  library.recount = () => {
    counting = loop.key();
    library.say("queue", { filters: library.filters(), key: counting, only_count: true });
  };
  library.enters("review", library.renew);
  loop.does("clear-filters", () => { $("#filters").reset(); library.filtered(); });
  library.filtered = () => {
    library.renew();
    if (library.panel !== "review") library.to(library.panel);
  };

  // -- the list
  const entries = () => $$("#entries .entry");
  const entry = (id) => $(`#entries .entry[data-answer="${id}"]`);
  function counted({ number, capped }) {
    const words = number.toLocaleString("en") + (capped ? "+" : "");
    $("#number").textContent = words;
    $("#number-of").textContent = number === 1 ? "answer" : "answers";
    for (const each of $$(".all-number")) each.textContent = words;
    $("#library").dataset.empty = number ? "no" : "yes";
    for (const each of $$(".bulk button")) each.disabled = !number;
  }
  loop.on("library_queue", (feed) => {
    if (feed.key === counting && feed.html === null) return counted(feed.count);
    if (feed.key !== key) return;
    after = feed.after;
    if (feed.count) counted(feed.count);
    if (feed.more) $("#entries").insertAdjacentHTML("beforeend", feed.html);
    else $("#entries").innerHTML = feed.html;
    $("#more-entries").hidden = !after;
    if (!entries().length) $("#entries").innerHTML = '<li class="faint big">No answers. Widen the filters, or chat first.</li>';
    mark();
    if (library.chosen === null || (!feed.more && !entry(library.chosen))) {
      const first = entries()[0];
      if (first && !narrow.matches) choose(Number(first.dataset.answer));
      else rest();
    }
  });
  loop.does("more-entries", () => {
    key = loop.key();
    library.say("queue", { filters: library.filters(), after, key });
  });

  // -- the one that is looked at
  const narrow = matchMedia("(max-width: 800px)");
  function rest() {
    if (unsaved()) return;
    library.chosen = wanted = null;
    delete $("#library").dataset.desk;
    $("#desk").innerHTML = '<p class="faint big">Nothing is chosen.</p>';
  }
  function mark() {
    for (const each of entries()) {
      const is = Number(each.dataset.answer) === library.chosen;
      each.classList.toggle("chosen", is);
      if (is) $(".pick", each).setAttribute("aria-current", "true");
      else $(".pick", each).removeAttribute("aria-current");
    }
  }
  const look = (id) => library.say("item", { turn: id, words: $('#filters [name="text"]').value });
  // What is being written and not yet kept is not left by accident.
  function unsaved() {
    const box = $("#desk .writing textarea");
    return box && box.value !== box.dataset.before ? box : null;
  }
  function choose(id) {
    const box = unsaved();
    if (box && id !== library.chosen) {
      library.tell("A correction is not saved yet: save it, or cancel it.", { failed: true });
      return box.focus();
    }
    library.chosen = wanted = id;
    mark();
    entry(id)?.scrollIntoView({ block: "nearest" });
    look(id);
    $("#library").dataset.desk = "open"; // on a phone it lies over the list
  }
  library.choose = choose;
  library.step = (by) => {
    const all = entries().map((each) => Number(each.dataset.answer));
    const at = all.indexOf(library.chosen);
    const next = all[at < 0 ? 0 : at + by];
    if (next !== undefined) choose(next);
    else if (by > 0 && after) loop.act("more-entries");
  };
  loop.on("library_item", (feed) => {
    const line = entry(feed.answer);
    if (line) {
      line.outerHTML = feed.line;
      mark();
    }
    if (feed.answer !== wanted) return;
    const same = $("#desk .case")?.dataset.answer === String(feed.answer);
    const place = same ? $("#desk").scrollTop : 0;
    const writing = same && $("#desk .writing");
    if (writing && !writing.dataset.sent) return; // what is being written stays
    const note = same && $('#desk .judging [name="note"]:focus');
    if (note && note.value !== note.defaultValue) return; // a note, too, and what it says comes when it is left
    $("#desk").innerHTML = feed.html;
    $("#desk").scrollTop = place;
  });
  loop.does("library-pick", (element) => choose(Number(element.closest(".entry").dataset.answer)));
  loop.does("library-before", () => library.step(-1));
  loop.does("library-next", () => library.step(1));
  loop.does("library-back", () => delete $("#library").dataset.desk);

  // -- deciding
  const opened = () => $("#desk .case");
  function decide(state) {
    const open = opened();
    if (!open || Number(open.dataset.answer) !== library.chosen) return;
    const same = open.dataset.state === state;
    library.say("decide", { turn: library.chosen, state: same ? "pending" : state });
    if (!same) library.step(1);
  }
  loop.does("library-approve", () => decide("approved"));
  loop.does("library-reject", () => decide("rejected"));

  loop.does("library-edit", () => {
    const open = opened();
    if (!open || $(".writing", open)) return;
    const before = $(".correction", open).dataset.raw;
    const form = document.createElement("form");
    form.className = "writing";
    form.innerHTML = '<h3>Correction</h3><textarea aria-label="The right answer" dir="auto"></textarea><div class="choices">' +
      '<button type="button" class="choice drop-it">Take it back</button><span class="gap"></span>' +
      '<button type="button" class="choice cancel">Cancel</button><button type="submit" class="choice first">Save<kbd>Ctrl ↵</kbd></button></div>';
    const box = $("textarea", form);
    box.value = box.dataset.before = before ?? $(".answer-text", open).dataset.raw;
    $(".drop-it", form).hidden = before === undefined;
    $(".correction", open).replaceWith(form);
    open.dataset.writing = "yes";
    const end = (data) => {
      const turn = Number(open.dataset.answer);
      form.dataset.sent = "yes"; // it stays until the program has kept it
      if (data) library.say("correct", { turn, ...data });
      else look(turn);
    };
    $(".cancel", form).addEventListener("click", () => end(null));
    $(".drop-it", form).addEventListener("click", () => end({ text: null }));
    form.addEventListener("submit", (event) => { event.preventDefault(); end({ text: box.value }); });
    box.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { event.stopPropagation(); end(null); }
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); }
    });
    box.style.height = `${Math.min(box.scrollHeight + 2, 400)}px`;
    box.focus();
    box.setSelectionRange(box.value.length, box.value.length);
  });

  loop.on("library_said", (feed) => { if (feed.failed) delete $("#desk .writing")?.dataset.sent; });
  window.addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); });

  // -- tags, of one answer or of all that are meant
  let tagged = null; // an answer's id, or "all"
  function tagging(whom, words, value) {
    tagged = whom;
    const form = $("#library-tagging form");
    $(".words", form).textContent = words;
    form.elements.tags.value = value;
    $('[data-do="bulk-untag"]').hidden = whom !== "all";
    $('#library-tagging [type="submit"]').textContent = whom === "all" ? "Put it on all" : "Set";
    $("#library-tagging").showModal();
    form.elements.tags.select();
  }
  // In the chat, at this answer: there it can be gone on with, renamed, pinned, archived or deleted.
  loop.does("library-open", (element) => {
    loop.sought = Number(element.dataset.turn);
    loop.open(element.dataset.conversation);
  });
  loop.does("library-tag", () => opened() && tagging(library.chosen, "Of this answer, between commas", opened().dataset.tags));
  loop.does("bulk-tag", () => tagging("all", `One tag for all ${$("#number").textContent} answers`, ""));
  const bulk = (data) => {
    library.tell("Working on it");
    library.say("bulk", { filters: library.filters(), ...data });
  };
  loop.does("bulk-untag", () => {
    bulk({ what: "untag", tag: $("#library-tagging form").elements.tags.value });
    $("#library-tagging").close();
  });
  loop.does("bulk-state", (element) => bulk({ what: "state", state: element.dataset.value }));

  // -- near-duplicates
  library.enters("groups", () => {
    $("#groups").innerHTML = '<p class="faint big">Comparing</p>';
    library.say("groups", { filters: library.filters() });
  });
  loop.on("library_groups", (feed) => ($("#groups").innerHTML = feed.html));
  loop.does("library-keep", (element) => {
    element.disabled = true;
    const answers = JSON.parse(element.closest(".group").dataset.answers);
    library.say("keep", { answers, turn: Number(element.closest(".member").dataset.answer) });
  });

  loop.start(() => {
    let soon;
    $("#filters").addEventListener("input", (event) => {
      clearTimeout(soon);
      soon = setTimeout(library.filtered, event.target.name === "text" ? 250 : 0);
    });
    $("#filters").addEventListener("submit", (event) => {
      event.preventDefault(); // Enter: the keys are the queue's again
      document.activeElement.blur();
      loop.closeSides();
    });
    $("#library-tagging form").addEventListener("submit", (event) => {
      const tags = event.target.elements.tags.value;
      if (tagged === "all") bulk({ what: "tag", tag: tags });
      else library.say("tags", { turn: tagged, tags });
    });
  });
})();
