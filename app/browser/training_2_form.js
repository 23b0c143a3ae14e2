// The form of a new run: what is learned, by which model, with which settings. What it says is counted and told back by
// the program after every change.
"use strict";
(() => {
  const { $, $$ } = loop;
  const training = loop.training;
  const SOON_MS = 250; // after a key, before the program is asked
  const OTHER = "\u0000"; // "another one", which is typed
  let key = null; // of the newest question about the form
  let valuesKey = null; // of the newest question about a recipe
  let waiting = null; // what is to stand in the fields when the recipe's values have come

  const form = () => $("#training-order");
  const field = (name) => form().elements[name];
  const base = () => (field("base").value === OTHER ? field("base_typed").value : field("base").value);

  // -- what it says
  function data() {
    const kind = field("kind").value;
    const share = field("share").value;
    if (kind === "library") return { kind, filters: loop.curation.filters(form()), share };
    if (kind === "set") return { kind, name: field("set").value, share };
    return { kind, file: field("file").value, pictures: field("pictures").value, share };
  }
  function mixed() {
    if (!field("mixed").checked) return null;
    const share = field("mixed_share").value;
    const name = field("mixed_set").value;
    if (name !== OTHER) return { kind: "set", name, share };
    return { kind: "file", file: field("mixed_file").value, pictures: field("mixed_pictures").value, share };
  }
  const configured = () => $$("[name^='config.']", form());
  const order = () => ({
    name: field("run_name").value,
    recipe: field("recipe").value,
    model: base(),
    data: data(),
    mixed: mixed(),
    fields: Object.fromEntries(configured().map((each) => [each.name.slice(7), each.value])),
    frees_worker: field("frees_worker").checked,
  });
  training.order = order;

  // -- what is told back
  function ask() {
    layOut();
    key = loop.key();
    for (const each of $$(".counted-data", form())) each.dataset.old = "yes";
    training.say("forecast", { key, ...order() });
  }
  function counted(place, told) {
    delete place.dataset.old;
    training.put(place, told ? told.words : "");
    place.classList.toggle("failed", Boolean(told?.failed));
  }
  loop.on("training_forecast", (feed) => {
    if (feed.key !== key) return;
    counted($("#counted-data"), feed.data);
    counted($("#counted-mixed"), feed.mixed);
    const known = [feed.data, feed.mixed].some((each) => each?.failed);
    training.put($("#training-refusal"), known ? "" : feed.refusal);
    training.put($("#training-command"), feed.command);
    $(".by-hand", form()).hidden = !feed.command;
    training.put($("#training-shares .words"), feed.shares);
    $("#training-shares").hidden = !feed.shares;
    const stands = !known && !feed.refusal;
    for (const each of [$('[data-do="training-check"]'), $('[type="submit"]', form())]) each.disabled = !stands;
  });
  function layOut() {
    for (const each of $$("[data-kind]", form())) each.hidden = each.dataset.kind !== field("kind").value;
    $("#mixed").hidden = !field("mixed").checked;
    const typed = field("mixed_set").value === OTHER;
    $("#mixed-file").hidden = $("#mixed-pictures").hidden = !typed;
    $("#base-typed").hidden = field("base").value !== OTHER;
  }

  // -- what can be chosen
  function offer(select, choices, other) {
    const chosen = select.value;
    const now = [...choices, [OTHER, other]].filter(([, words]) => words);
    if (!now.length) now.push(["", "None is there yet"]);
    select.replaceChildren(...now.map(([value, words]) => new Option(words, value)));
    if (now.some(([value]) => value === chosen)) select.value = chosen;
  }
  loop.on("training_door", (feed) => {
    const sets = feed.sets.map((each) => [each.value, each.words]);
    const models = feed.models.map((each) => [each.value, each.facts ? `${each.name} (${each.facts})` : each.name]);
    offer(field("set"), sets, "");
    offer(field("mixed_set"), sets, "A file on this machine");
    offer(field("base"), models, "Another: a folder, or a name on the Hub");
    training.put($("#datasets-place"), feed.datasets);
    if (!valuesKey) renew();
    else ask();
  });
  function renew() {
    valuesKey = loop.key();
    training.say("values", { key: valuesKey, recipe: field("recipe").value, scale: field("scale").value, model: base() });
  }
  loop.on("training_values", (feed) => {
    if (feed.key !== valuesKey) return;
    fill({ ...feed.values, ...waiting });
    waiting = null;
    ask();
  });
  function fill(values) {
    for (const each of configured()) if (each.name.slice(7) in values) each.value = values[each.name.slice(7)];
  }

  // -- another run's settings
  loop.on("training_filled", (feed) => {
    training.open(null);
    field("run_name").value = feed.name;
    field("recipe").value = feed.recipe;
    choose(field("base"), feed.model, "base_typed");
    field("kind").value = "file";
    field("file").value = feed.data.file;
    field("pictures").value = feed.data.pictures;
    field("share").value = feed.data.share;
    field("mixed").checked = feed.mixed !== null;
    if (feed.mixed) {
      field("mixed_set").value = OTHER;
      field("mixed_file").value = feed.mixed.file;
      field("mixed_pictures").value = feed.mixed.pictures;
      field("mixed_share").value = feed.mixed.share;
    }
    valuesKey = loop.key();
    fill(feed.fields);
    ask();
    field("run_name").focus();
  });
  function choose(select, value, typed) {
    select.value = value;
    if (select.value === value) return;
    select.value = OTHER;
    field(typed).value = value;
  }

  // -- ordering
  const starter = () => $('[type="submit"]', form());
  training.refused = () => { starter().disabled = false; };
  loop.on("training_started", (feed) => {
    starter().disabled = false;
    field("run_name").value = "";
    training.open(feed.job);
  });
  loop.start(() => {
    let soon;
    field("corrected").value = "yes"; // what a person wrote, and not what the model says of itself
    layOut();
    form().addEventListener("input", (event) => {
      if (event.target.name === "frees_worker" || event.target.name === "run_name") return;
      training.outdated();
      clearTimeout(soon);
      const refill = ["recipe", "scale", "base", "base_typed"].includes(event.target.name);
      layOut();
      soon = setTimeout(refill ? renew : ask, event.target.matches("[type=text], [type=search]") ? SOON_MS : 0);
    });
    form().addEventListener("submit", (event) => {
      event.preventDefault();
      if (starter().disabled) return;
      starter().disabled = true;
      training.say("start", order());
    });
  });
})();
