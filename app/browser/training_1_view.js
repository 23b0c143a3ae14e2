// The third view of the page: training. The list of runs at the side is asked for while the view is seen, and with it
// what is new of the run that is open; only what changed is touched.
"use strict";
(() => {
  const { $ } = loop;
  const training = { ...loop.wire("training") };
  loop.training = training;
  const LOOK_MS = 1000; // between two looks
  const PATIENCE_MS = 6000; // for an answer, before it is asked again
  let looking;

  // Words are put where others stand, so that what is selected or scrolled stays as it is.
  training.put = (element, text) => { if (element && element.textContent !== text) element.textContent = text; };

  const inAddress = () => new URLSearchParams(location.search).get("training") || null;
  const view = loop.view_of("training", {
    title: "Training",
    side: "Runs",
    enter: () => {
      training.say("training");
      loop.curation.say("library"); // the tags and models for the filters
      training.enters();
      show(inAddress());
    },
    leave: () => {
      clearTimeout(looking);
      training.leaves();
    },
  });
  Object.defineProperty(training, "shown", { get: () => view.shown });

  function show(id) {
    $("#training").dataset.shown = id ? "run" : "form";
    training.begin(id);
    mark();
    look();
  }
  // A run by its id, or the form for a new one.
  training.open = (id) => {
    if (inAddress() !== id) history.pushState({}, "", id ? `?training=${id}` : "?training");
    loop.closeSides();
    show(id);
  };
  loop.does("training-new", () => training.open(null));
  loop.does("training-open", (element) => training.open(element.closest("li").dataset.job));
  loop.does("training-list", () => loop.act("side"));

  // -- looking
  function look() {
    clearTimeout(looking);
    if (!view.shown) return;
    if (document.hidden) looking = setTimeout(look, LOOK_MS);
    else {
      training.say("look", training.known() || {});
      looking = setTimeout(look, PATIENCE_MS);
    }
  }
  training.look = look;
  loop.on("training_look", (feed) => {
    list(feed.jobs);
    training.put($("#runs-trouble"), feed.trouble);
    $("#runs-trouble").hidden = !feed.trouble;
    if (feed.open) training.told(feed.open);
    clearTimeout(looking);
    if (view.shown) looking = setTimeout(look, LOOK_MS);
  });

  // -- the list
  const EMPTY = '<li class="faint big" data-job="none">No run yet. The first one is a form away.</li>';
  const LINE = '<button type="button" class="open" data-do="training-open"><span class="name" dir="auto"></span><small></small>' +
    '<span class="bar" aria-hidden="true"><i></i></span></button>';
  function line(id) {
    const made = document.createElement("li");
    made.dataset.job = id;
    made.innerHTML = LINE;
    return made;
  }
  function list(jobs) {
    const place = $("#run-list");
    const before = new Map([...place.children].map((each) => [each.dataset.job, each]));
    jobs.forEach((job, at) => {
      const shown = before.get(job.id) || line(job.id);
      before.delete(job.id);
      training.put($(".name", shown), job.name);
      training.put($("small", shown), job.about);
      if (shown.dataset.phase !== job.phase) shown.dataset.phase = job.phase;
      const percent = job.fraction === null ? "" : `${Math.round(100 * job.fraction)}%`;
      $(".bar", shown).hidden = percent === "";
      $(".bar i", shown).style.width = percent;
      if (place.children[at] !== shown) place.insertBefore(shown, place.children[at] || null);
    });
    if (!jobs.length && before.has("none")) return;
    for (const gone of before.values()) gone.remove();
    if (!jobs.length) place.innerHTML = EMPTY;
    mark();
  }
  function mark() {
    for (const each of $("#run-list").children) {
      const open = $(".open", each);
      if (open && each.dataset.job === training.job) open.setAttribute("aria-current", "true");
      else open?.removeAttribute("aria-current");
    }
  }

  loop.on("training_said", (feed) => {
    loop.curation.tell(feed.words, { failed: feed.failed });
    if (feed.failed) training.refused();
  });
  loop.does("training-copy", async (element) => {
    const from = $(`#${element.dataset.of}`);
    try {
      await navigator.clipboard.writeText(from.textContent);
      loop.curation.tell("Copied.");
    } catch { // plain http: what is selected can be copied by hand
      getSelection().selectAllChildren(from);
      loop.curation.tell("This browser lets no page copy here; it is selected, press Ctrl C.");
    }
  });
  loop.on("training_door", () => view.offer());
  loop.start(() => {
    training.say("training");
    document.addEventListener("visibilitychange", () => !document.hidden && view.shown && look());
    window.addEventListener("popstate", () => view.shown && training.job !== inAddress() && show(inAddress()));
  });
})();
