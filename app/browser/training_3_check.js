// The look through the data before a run: asked for by a person, watched while it goes on, ended when they leave.
"use strict";
(() => {
  const { $ } = loop;
  const training = loop.training;
  const LOOK_MS = 500;
  let running = false;
  let looking;

  const report = () => $("#training-report");
  const WORKING = '<div class="job" data-phase="running"><div class="bar unknown"><i></i></div><p><span class="words"></span> ' +
    '<button type="button" class="link" data-do="training-uncheck">Stop</button></p></div>';
  training.outdated = () => { if (!running && $("dl", report())) report().dataset.old = "yes"; };

  loop.does("training-check", () => {
    running = true;
    delete report().dataset.old;
    report().innerHTML = WORKING;
    $(".words", report()).textContent = "Beginning";
    training.say("check", training.order());
    report().scrollIntoView({ block: "nearest", behavior: "smooth" });
  });
  function stop() {
    clearTimeout(looking);
    if (running) training.say("uncheck");
    running = false;
  }
  loop.does("training-uncheck", () => {
    stop();
    say("Stopped.");
  });
  function say(words, failed = false) {
    const line = Object.assign(document.createElement("p"), { textContent: words, className: failed ? "refused" : "faint big" });
    report().replaceChildren(line);
  }
  loop.on("training_check", (feed) => {
    if (!running) return;
    clearTimeout(looking);
    if (feed.phase === "running") {
      training.put($(".words", report()), feed.words);
      looking = setTimeout(() => training.say("checking"), LOOK_MS);
      return;
    }
    running = false;
    if (feed.phase === "done") {
      report().innerHTML = feed.html;
      if (report().getBoundingClientRect().top < 0) report().scrollIntoView({ block: "start", behavior: "smooth" }); // what it needs stands on top
    } else say(feed.words, feed.phase === "failed");
  });
  loop.on("training_said", (feed) => {
    if (!feed.failed || !running) return;
    running = false;
    clearTimeout(looking);
    say(feed.words, true);
  });
  training.enters = () => {};
  training.leaves = () => {
    const was = running;
    stop();
    if (was) say("Stopped, because you left.");
  };
  window.addEventListener("pagehide", stop);
})();
