// What a run brought out, in the element #results wherever the training view puts it. The program makes the parts; here
// they are put in place, looked at again while something goes on, and led over to the chat.
"use strict";
(() => {
  const { $, $$ } = loop;
  const results = loop.wire("results");
  loop.results = results;
  const SOON_MS = 600; // between two looks while something goes on
  const LATER_MS = 3000;
  const HEARS_MS = 250; // while both are answering
  let job = null; // whose results are shown
  let deeds = ""; // what can be done, as it was told last
  let looking, hearing;
  const place = () => $("#results");
  const outcome = () => $("#results .outcome");
  const say = (event, data = {}) => results.say(event, { job, ...data });
  const tell = (words, failed = false) => loop.curation.tell(words, { failed });

  // Called whenever the view of a job that is done is shown; what is there already stays.
  results.show = (id) => {
    job = id;
    if (outcome()?.dataset.job === id) return say("state");
    deeds = "";
    if (place()) place().innerHTML = '<p class="faint">Reading the results</p>';
    say("show");
  };

  function look(busy) {
    clearTimeout(looking);
    looking = setTimeout(() => {
      if (outcome()?.dataset.job !== job) return;
      if (document.hidden || !place().offsetParent) look(busy);
      else say("state");
    }, busy ? SOON_MS : LATER_MS);
  }
  loop.on("results_shown", (feed) => {
    if (feed.job !== job || !place()) return;
    place().innerHTML = feed.frame;
    $(".outcome-scores", place()).innerHTML = feed.scores;
    $(".outcome-rows", place()).innerHTML = feed.rows;
    deeds = "";
  });
  loop.on("results_state", (feed) => {
    if (feed.job !== job || outcome()?.dataset.job !== job) return;
    look(feed.busy);
    if (feed.html === deeds) return;
    deeds = feed.html;
    const part = $(".outcome-deeds", place());
    const held = part.contains(document.activeElement) && document.activeElement.dataset.do;
    part.innerHTML = feed.html;
    if (held) ($(`[data-do="${held}"]`, part) || $("button, a", part))?.focus();
  });
  loop.on("results_rows", (feed) => {
    if (feed.job !== job || !outcome()) return;
    const held = document.activeElement.dataset.value;
    $(".outcome-rows", place()).innerHTML = feed.html;
    $(`.outcome-rows [role=tab][data-value="${held}"]`, place())?.focus();
  });
  loop.on("results_said", (feed) => {
    tell(feed.words, feed.failed);
    if (!feed.failed) return;
    for (const now of $$("#results .now[data-asking]")) quiet(now, "");
    deeds = "";
    say("state");
  });

  // -- into the chat
  function waits(button, words) {
    button.disabled = true;
    button.textContent = words;
    deeds = ""; // whatever is told next takes its place
  }
  loop.does("result-chat", (element) => {
    if (element.dataset.value !== undefined) return loop.chatWith(element.dataset.value);
    waits(element, "Loading it");
    say("load");
  });
  loop.on("results_chat", (feed) => { if (feed.job === job) loop.chatWith(feed.model); });
  loop.does("result-unload", (element) => { waits(element, "Unloading"); say("unload"); });
  loop.does("result-switch", (element) => { waits(element, "Switching"); say("switch", { to: element.dataset.value }); });

  // -- carried away
  loop.does("result-merge", (element) => { waits(element, "Merging"); say("merge"); });
  loop.does("result-halt", () => say("halt"));
  loop.does("result-hub", () => $("#to-hub").showModal());
  document.addEventListener("submit", (event) => {
    const form = event.target.closest?.(".hub-form");
    if (!form) return;
    event.preventDefault();
    const { repo, token } = Object.fromEntries(new FormData(form));
    say("push", { repo, token, private: form.elements.private.checked });
    form.elements.token.value = "";
    $("#to-hub").close();
  });

  // -- side by side
  loop.does("result-rows", (element) => say("rows", { only: element.dataset.value }));
  function quiet(now, html) {
    delete now.dataset.asking;
    now.innerHTML = html;
  }
  loop.does("result-ask", (element) => {
    for (const now of $$("#results .now[data-asking]")) quiet(now, "");
    const row = element.closest("[data-number]");
    const now = $(".now", row);
    now.dataset.asking = "yes";
    now.innerHTML = '<p class="phase">Asking</p>';
    say("ask", { number: Number(row.dataset.number) });
  });
  loop.on("results_now", (feed) => {
    clearTimeout(hearing);
    const now = feed.job === job && $(`#results [data-number="${feed.number}"] .now[data-asking]`);
    if (!now) return;
    now.innerHTML = feed.html;
    if (feed.ended) delete now.dataset.asking;
    else hearing = setTimeout(() => say("asked"), HEARS_MS);
  });
})();
