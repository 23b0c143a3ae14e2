// The list of conversations at the left, the settings at the right, the worker's state on top.
"use strict";
(() => {
  const { $, $$ } = loop;
  const narrow = matchMedia("(max-width: 800px)");
  const kept = {
    read: (name) => { try { return localStorage.getItem(`llava-loop-${name}`); } catch { return null; } },
    write: (name, value) => { try { localStorage.setItem(`llava-loop-${name}`, value); } catch { /* private window */ } },
  };

  // -- conversations
  let usual = {};
  const conversation = (element) => element.closest(".chat").dataset.conversation;
  const closeIfNarrow = () => { if (narrow.matches) side("closed"); };
  const OPENING_MS = 80; // what slides in cannot take the focus in its first frame
  const held = (element) => element.contains(document.activeElement);
  const isOpen = (name) => $(".room").dataset[name] === "open";
  // On a phone what slides in covers the rest, which is then out of the keyboard's reach too.
  function cover() {
    $(".stage").inert = narrow.matches && (isOpen("side") || isOpen("drawer"));
  }
  function side(state) {
    const opener = $(".opener");
    const leaves = state === "closed" && held($(".side"));
    const enters = state === "open" && document.activeElement === opener;
    $(".room").dataset.side = state;
    $(".side").inert = state === "closed";
    opener.setAttribute("aria-expanded", String(state === "open"));
    cover();
    if (leaves) opener.focus();
    if (enters) setTimeout(() => isOpen("side") && $(".brand button").focus(), OPENING_MS);
    if (!narrow.matches) kept.write("side", state);
  }
  function mark() {
    for (const chat of $$("#chats .chat")) {
      const open = chat.dataset.conversation === loop.conversation;
      if (open) $(".open", chat).setAttribute("aria-current", "true");
      else $(".open", chat).removeAttribute("aria-current");
    }
  }
  // A line's buttons come into view with its focus, so that goes to its title first.
  loop.refocus = (line, deed) => {
    $(".open", line).focus({ preventScroll: true });
    $(`[data-do="${deed}"]`, line)?.focus({ preventScroll: true });
  };
  const PAGE = 50; // as many as the program tells unasked
  let wanted = PAGE; // how many conversations the list shows at most
  // What the list shows just now; every change of a conversation carries it, and gets the list as it is then.
  loop.view = () => ({
    search: $("#search").value, shown: wanted, tag: $("#of-tag").value,
    archived: $("#archived").getAttribute("aria-pressed") === "true",
  });
  const ask = () => loop.say("list", loop.view());
  loop.list = () => { wanted = PAGE; growing = false; ask(); };
  const isOfView = (feed) => ["search", "tag", "archived"].every((each) => feed[each] === loop.view()[each]);

  loop.does("side", () => side($(".room").dataset.side === "open" ? "closed" : "open"));
  loop.does("veil", () => { closeIfNarrow(); drawer(false); });
  loop.does("new", () => { loop.open(null); closeIfNarrow(); $("#draft").focus(); });
  loop.does("open", (element) => {
    loop.sought = Number(element.closest(".chat").dataset.turn) || null;
    loop.open(conversation(element));
    loop.notice("");
    closeIfNarrow();
  });
  loop.rename = (chat) => {
    const box = Object.assign(document.createElement("input"), { value: $(".open", chat).textContent, maxLength: 200 });
    box.className = "renaming";
    box.setAttribute("aria-label", "Title");
    chat.prepend(box);
    chat.dataset.renaming = "yes";
    box.select();
    let done = false;
    const end = (keep) => {
      if (done) return;
      done = true;
      const title = box.value.trim();
      box.remove();
      delete chat.dataset.renaming;
      if (keep && title && title !== $(".open", chat).textContent) {
        $(".open", chat).textContent = title;
        loop.say("rename", { conversation: chat.dataset.conversation, title, open: loop.conversation, ...loop.view() });
      }
    };
    box.addEventListener("keydown", (event) => {
      if (event.key === "Enter") end(true);
      if (event.key === "Escape") { event.stopPropagation(); end(false); }
    });
    box.addEventListener("blur", () => end(true));
    box.focus();
  };
  let doomed = null;
  loop.doom = (chat) => { doomed = chat.dataset.conversation; $("#ask-delete").showModal(); };
  loop.does("really-delete", () => {
    $("#ask-delete").close();
    loop.say("delete", { conversation: doomed, ...loop.view() });
    if (doomed === loop.conversation) loop.open(null, "replaceState");
  });
  let growing = false; // between Show more and what it brings
  loop.does("more", () => {
    if (growing) return;
    growing = true;
    wanted += PAGE;
    ask();
  });
  loop.on("list", (feed) => {
    loop.offerTags(feed.tags);
    if (!isOfView(feed) || (feed.more && feed.shown < wanted)) return ask();
    if ($("#chats [data-renaming]")) return;
    const before = $$("#chats .chat");
    const focused = held($("#chats")) && document.activeElement;
    const at = before.findIndex((each) => each.contains(focused || null));
    const id = focused && focused.closest(".chat")?.dataset.conversation;
    $("#chats").innerHTML = feed.html;
    mark();
    // The keyboard stays on its line, or its place where that is gone; after Show more it goes to the first line that came.
    const line = id && $(`#chats .chat[data-conversation="${id}"]`);
    if (line) loop.refocus(line, focused.dataset.do);
    else if (focused) {
      const lines = $$("#chats .chat .open");
      (at < 0 ? lines[before.length] : lines[Math.min(at, lines.length - 1)] || $(".new-chat"))?.focus({ preventScroll: true });
    }
    growing = false;
  });
  document.addEventListener("loop:changed", () => loop.begun && mark());

  // -- settings
  function drawer(open) {
    const opener = $('.top [data-do="drawer"]');
    const leaves = !open && held($("#drawer"));
    $(".room").dataset.drawer = open ? "open" : "closed";
    $("#drawer").inert = !open;
    opener.setAttribute("aria-expanded", String(open));
    cover();
    if (leaves) opener.focus();
    if (open) setTimeout(() => isOpen("drawer") && !held($("#drawer")) && $("#drawer button").focus(), OPENING_MS);
  }
  // Whether there was something to close.
  loop.closeSides = () => {
    const open = isOpen("drawer") || (narrow.matches && isOpen("side"));
    drawer(false);
    closeIfNarrow();
    return open;
  };
  loop.does("drawer", () => drawer($("#drawer").inert));
  loop.does("reset", () => {
    $("#choices").reset();
    told();
  });
  function told() {
    for (const field of $$("#choices .slider")) {
      const input = $("input", field);
      $("output", field).textContent = Number(input.value).toFixed(2);
      input.style.setProperty("--part", `${(100 * (input.value - input.min)) / (input.max - input.min)}%`);
    }
    kept.write("choices", JSON.stringify(Object.fromEntries(new FormData($("#choices")))));
  }
  loop.choices = () => Object.fromEntries(new FormData($("#choices")));

  // -- light and dark: as the system says, until somebody chooses
  function paint() {
    const chosen = kept.read("theme");
    const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.body.classList.toggle("dark", dark);
    document.documentElement.style.colorScheme = dark ? "dark" : "light";
  }
  loop.does("theme", () => {
    kept.write("theme", document.body.classList.contains("dark") ? "light" : "dark");
    paint();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);

  // -- the worker, and whether the program itself is there: it says something every second and a half
  const LOST_SECONDS = 15;
  let heard = Date.now();
  function watchLine() {
    if (document.hidden) return; // a hidden tab's timers may sleep
    if (loop.lost || Date.now() - heard < LOST_SECONDS * 1000) return;
    loop.lost = true;
    $("#state .words").textContent = "No connection to the program";
    $("#state").dataset.tone = "failed";
    loop.settle(); // what was being sent is still in the draft
    loop.writing.clear();
    loop.changed();
    loop.checkLogin();
  }
  loop.on("status", (feed) => {
    heard = Date.now();
    if (loop.lost) {
      loop.lost = false;
      if (loop.conversation) loop.say("open", { conversation: loop.conversation });
      ask();
    }
    $("#state .words").textContent = feed.words;
    $("#state").title = feed.words;
    $("#state").dataset.tone = feed.tone;
    $("#restart").hidden = !feed.can_restart;
    $("#about").textContent = feed.about;
    $("#account").hidden = !feed.user;
    $("#account .who").textContent = feed.user;
    const select = $('#choices [name="model"]');
    const names = ["", ...feed.models];
    // A worker that is away lists none; what was chosen stays chosen for when it is back.
    if (feed.models.length && $$("option", select).map((each) => each.value).join("\n") !== names.join("\n")) {
      const chosen = select.value || usual.model || "";
      select.replaceChildren(...names.map((name) => new Option(name || "The running model", name)));
      if (names.includes(chosen)) select.value = chosen;
    }
    $('#choices [name="system_prompt"]').placeholder = feed.system || "The template’s own";
  });

  loop.does("restart", () => {
    $("#restart").hidden = true; // until the state says again that it failed
    loop.say("restart");
  });

  loop.start(() => {
    paint();
    side(narrow.matches ? "closed" : kept.read("side") || "open");
    narrow.addEventListener("change", () => side(narrow.matches ? "closed" : "open"));
    drawer(false);
    try { usual = JSON.parse(kept.read("choices") || "{}"); } catch { usual = {}; }
    for (const [name, value] of Object.entries(usual)) {
      const field = $("#choices").elements[name];
      if (field && name !== "model") field.value = value;
    }
    told();
    setInterval(watchLine, 2000);
    document.addEventListener("visibilitychange", () => {
      heard = Date.now();
      if (!document.hidden) ask(); // another tab may have changed the list
    });
    $("#choices").addEventListener("input", told);
    $("#choices").addEventListener("submit", (event) => event.preventDefault());
    let soon;
    $("#search").addEventListener("input", () => { clearTimeout(soon); soon = setTimeout(loop.list, 200); });
    ask();
  });
})();
