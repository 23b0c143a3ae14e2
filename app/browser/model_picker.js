// The running model at the top of the settings, and for admins another one: recent ones, or a folder or Hub name. And for
// everybody, where there are adapters, which of the models answers: in the composer, since it belongs to each question.
"use strict";
(() => {
  const { $ } = loop;
  const picker = () => $("#picker");
  let asked = false; // between a switch and what the program says to it
  let mine = false; // whether this page asked for the newest switch
  let number = 0; // of the newest switch
  let told = ""; // the newest reason that was told, so that it is told once
  let listed = "";
  let wanted = null; // the adapter that was chosen; "" for the base, null until the page knows
  let models = []; // all that the worker listed last, the base first
  let base = ""; // what answers where nothing is chosen
  let missed = ""; // the one that is gone, so that it is told once
  const choice = () => $('#choices [name="model"]');
  const shortcut = () => $("#which-model");

  // An adapter that was just loaded is told by the next status only; until then it is wanted.
  function choose(name) {
    wanted = name;
    missed = "";
    const select = choice();
    if (![...select.options].some((each) => each.value === name)) return;
    select.value = name;
    select.dispatchEvent(new Event("input", { bubbles: true }));
  }
  loop.chatWith = (name) => {
    choose(name);
    loop.act("new");
  };
  function offer(ready) {
    const select = choice();
    base = models[0] || "";
    if (wanted === null && models.length) wanted = select.value;
    if (wanted === "" && select.value && select.value !== base) choose(""); // remembered from an earlier visit
    if (wanted && models.includes(wanted)) {
      missed = "";
      if (select.value !== wanted) choose(wanted);
    } else if (wanted && ready && missed !== wanted) {
      missed = wanted;
      loop.notice(`${wanted} is not loaded any more; ${base || "the base model"} answers instead.`);
    }
    const short = shortcut();
    short.hidden = models.length < 2;
    const options = models.map((name, place) => [name, place ? name : ""]);
    const now = JSON.stringify(options);
    if (short.dataset.of !== now) {
      short.dataset.of = now;
      short.replaceChildren(...options.map(([name, value]) => new Option(name, value)));
    }
    if (document.activeElement !== short) short.value = select.value === base ? "" : select.value;
    short.classList.toggle("tuned", Boolean(short.value));
  }

  function refuse(words) {
    const place = $(".refusal", picker());
    if (place.textContent !== words) place.textContent = words;
    place.hidden = !words;
  }
  function row(each) {
    const item = document.createElement("li");
    const button = Object.assign(document.createElement("button"), { type: "button", dir: "auto" });
    button.dataset.do = "recent-model";
    button.dataset.key = each.key;
    button.append(each.name);
    if (each.facts) button.append(Object.assign(document.createElement("small"), { textContent: each.facts }));
    item.append(button);
    return item;
  }
  function adapter(name) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: name });
    button.dataset.do = "use-adapter";
    const drop = Object.assign(document.createElement("button"), { type: "button", className: "unload", title: `Unload ${name}` });
    drop.setAttribute("aria-label", drop.title);
    drop.dataset.do = "drop-adapter";
    drop.dataset.name = name;
    drop.innerHTML = '<svg class="icon"><use href="#icon-close"></use></svg>';
    const both = document.createElement("span");
    both.append(button, drop);
    return both;
  }
  function list(recent, adapters) {
    const now = JSON.stringify([recent, adapters]);
    if (now === listed) return;
    listed = now;
    $(".recent", picker()).replaceChildren(...recent.map(row));
    $(".adapters", picker()).hidden = !adapters.length;
    $(".adapters span", picker()).replaceChildren(...adapters.flatMap((name, n) => (n ? [", ", adapter(name)] : [adapter(name)])));
  }
  function progress(now) {
    const job = $(".job", picker());
    job.hidden = !now.busy;
    const percent = Math.round(100 * now.fraction);
    $(".bar", job).setAttribute("aria-valuenow", String(percent));
    $(".bar i", job).style.width = `${percent}%`;
    if ($(".words", job).textContent !== now.words) $(".words", job).textContent = now.words;
  }

  loop.on("status", (feed) => {
    const now = feed.picker;
    $(".name", picker()).textContent = now ? now.running.name : feed.model || "The model";
    $(".facts", picker()).textContent = now ? now.running.facts : "";
    $("details", picker()).hidden = !now;
    if (feed.models.length) models = feed.models; // a worker that is away lists none
    offer(feed.tone === "ready");
    if (!now) return;
    progress(now);
    list(now.recent, models.slice(1));
    const reason = now.failed ? `${now.number} ${now.failed}` : "";
    if (reason !== told) {
      refuse(now.failed);
      if (now.failed && mine && $("#drawer").inert) loop.notice(now.failed);
      told = reason;
    }
    if (now.number !== number) asked = false;
    number = now.number;
  });
  loop.on("notice", (feed) => {
    if (!asked || !feed.words) return;
    asked = false;
    refuse(feed.words);
    if (!$("#drawer").inert) loop.notice(""); // it is told here
  });

  function change(order) {
    asked = mine = true;
    refuse("");
    loop.say("switch", order);
  }
  loop.does("recent-model", (element) => change({ recent: element.dataset.key }));
  loop.does("drop-adapter", (element) => {
    element.disabled = true;
    loop.results.say("drop", { name: element.dataset.name });
  });
  loop.does("use-adapter", (element) => {
    choose(element.textContent);
    choice().focus();
  });
  loop.start(() => {
    const short = Object.assign(document.createElement("select"), { id: "which-model", hidden: true, title: "Which model answers" });
    short.setAttribute("aria-label", "Which model answers");
    $("#composer .row .gap").before(short);
    short.addEventListener("change", () => choose(short.value));
    choice().addEventListener("input", () => {
      wanted = choice().value === base ? "" : choice().value;
      short.value = wanted;
      short.classList.toggle("tuned", Boolean(wanted));
    });
    $("#switch").addEventListener("submit", (event) => {
      event.preventDefault();
      change(Object.fromEntries(new FormData($("#switch"))));
    });
  });
})();
