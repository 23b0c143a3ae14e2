// The run that is open: its numbers, curves and log follow it, and what a person selected, scrolled or typed stays.
"use strict";
(() => {
  const { $, $$ } = loop;
  const training = loop.training;
  const MOST_LOG = 300000; // characters that are kept here
  let plots = null;
  let points = new Map(); // step -> what was measured there
  let known = null; // what this page has of the run
  let phase = "";
  let doomed = null;

  training.job = null;
  training.known = () => known;
  training.begin = (id) => {
    if (id === training.job && id !== null) return;
    training.job = id;
    known = id ? { job: id, fresh: true, rewinds: 0, lines: 0, log: 0 } : null;
    points = new Map();
    phase = "";
    if (!id) return;
    for (const place of ["#run-name", "#run-badge", "#run-log", "#run-command", "#run-progress .words"]) training.put($(place), "");
    $("#run-settings").replaceChildren();
    for (const each of $$("#run-numbers > div")) each.hidden = true;
    $("#run-progress i").style.width = "0%";
    for (const each of ["#run-stop", "#run-resume", "#run-delete", "#results"]) $(each).hidden = true;
    for (const each of plots || []) each.draw([]);
    $(".training-job").scrollTop = 0;
  };

  training.told = (feed) => {
    if (feed.id !== training.job || training.job === null) return;
    if (feed.gone) {
      loop.curation.tell("This run is not there any more.", { failed: true });
      return training.open(null);
    }
    if (known.fresh !== feed.fresh) return; // it answers an older question
    if (feed.fresh) {
      $("#run-settings").innerHTML = feed.settings;
      training.put($("#run-command"), feed.command);
      known.fresh = false;
    }
    training.put($("#run-name"), feed.name);
    training.put($("#run-badge"), feed.badge);
    progress(feed);
    for (const each of $$("#run-numbers [data-fact]")) {
      const value = feed.facts[each.dataset.fact] || "";
      each.parentElement.hidden = !value;
      training.put(each, value);
    }
    $("#run-stop").hidden = !feed.can.stop;
    $("#run-resume").hidden = !feed.can.resume;
    $("#run-delete").hidden = !feed.can.delete;
    curves(feed.curves);
    log(feed.log);
    if (feed.phase !== phase) {
      $("#run").dataset.phase = phase = feed.phase;
      document.title = `${feed.name} – LLaVA Loop`;
      $("#results").hidden = phase !== "done";
      if (phase === "done") loop.results?.show(feed.id);
    }
  };
  function progress(feed) {
    const place = $("#run-progress");
    place.dataset.phase = feed.phase;
    const percent = Math.round(100 * (feed.fraction ?? 0));
    $(".bar", place).classList.toggle("unknown", feed.unknown);
    $(".bar", place).setAttribute("aria-valuenow", String(percent));
    $("i", place).style.width = `${percent}%`;
    training.put($(".words", place), feed.words);
  }

  // -- curves
  function begun() {
    const rate = (value) => (value >= 1e-3 || !value ? String(+value.toPrecision(3)) : value.toExponential(1).replace(".0e", "e"));
    plots = [
      loop.plot("Loss", [
        { name: "loss", words: "training", kind: "first", noisy: true },
        { name: "held_out_loss", words: "held out", kind: "second", dots: true },
      ]),
      loop.plot("Learning rate", [{ name: "learning_rate", words: "rate", kind: "first" }], { format: rate, zero: true }),
      loop.plot("Tokens per second", [{ name: "tokens_per_second", words: "tokens", kind: "first", noisy: true }], { zero: true }),
    ];
    $("#plots").append(...plots.map((each) => each.figure));
  }
  function curves(feed) {
    if (!feed.whole && (feed.rewinds !== known.rewinds || feed.from !== known.lines)) return;
    if (feed.whole && feed.lines === known.lines && feed.rewinds === known.rewinds && known.lines) return;
    const isNew = feed.points.length || feed.whole;
    if (feed.whole) points = new Map();
    for (const point of feed.points) points.set(point.step, { ...points.get(point.step), ...point });
    known.rewinds = feed.rewinds;
    known.lines = feed.lines;
    if (!isNew) return;
    if (!plots) begun();
    const inOrder = [...points.values()].sort((one, other) => one.step - other.step);
    for (const each of plots) each.draw(inOrder);
  }

  // -- the log
  function log(feed) {
    if (!feed.whole && feed.from !== known.log) return;
    if (feed.whole && feed.bytes === known.log) return;
    const place = $("#run-log");
    const atEnd = place.scrollTop + place.clientHeight >= place.scrollHeight - 24;
    if (feed.whole) place.textContent = feed.text;
    else if (feed.text) place.append(feed.text);
    known.log = feed.bytes;
    while (place.textContent.length > MOST_LOG && place.childNodes.length > 1) place.firstChild.remove();
    if (atEnd && feed.text) place.scrollTop = place.scrollHeight;
  }

  // -- deeds
  const say = (event, data = {}) => training.say(event, { ...training.known(), job: training.job, ...data });
  loop.does("training-stop", () => { $("#run-stop").hidden = true; say("stop"); });
  loop.does("training-resume", () => { $("#run-resume").hidden = true; say("resume"); });
  loop.does("training-clone", () => training.say("clone", { job: training.job }));
  loop.does("training-rename", () => {
    $("#name-run form").elements.name.value = $("#run-name").textContent;
    $("#name-run").showModal();
    $("#name-run form").elements.name.select();
  });
  loop.does("training-doom", () => { doomed = training.job; $("#ask-run").showModal(); });
  loop.does("training-delete", () => {
    $("#ask-run").close();
    training.open(null);
    training.say("delete", { job: doomed });
  });
  loop.start(() => {
    $("#name-run form").addEventListener("submit", (event) => {
      event.preventDefault();
      $("#name-run").close();
      say("rename", { name: event.target.elements.name.value });
    });
  });
})();
