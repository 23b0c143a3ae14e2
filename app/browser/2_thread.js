// The conversation in the middle: shown whole from the log, and while an answer comes, only that answer is touched.
"use strict";
(() => {
  const { $, $$ } = loop;
  let stuck = true; // whether the newest text is kept in view

  // `step` is how the address follows: "pushState", "replaceState", or "" where it is there already.
  loop.open = (id, step = "pushState") => {
    if (!id || id !== loop.conversation) loop.visit += 1;
    loop.conversation = id;
    if (step) history[step]({}, "", id ? `?c=${id}` : location.pathname);
    const turn = loop.sought;
    loop.sought = null;
    if (id) loop.say("open", turn ? { conversation: id, turn } : { conversation: id });
    else show({ conversation: null, title: "", html: "", private: false });
    loop.changed();
  };

  function show(feed) {
    if (feed.gone) {
      loop.writing.delete(feed.conversation);
      if (feed.conversation === loop.conversation) loop.open(null, "replaceState"); // a notice says why
      return;
    }
    if (feed.key && loop.pending?.key === feed.key) {
      if (loop.pending.visit === loop.visit && loop.conversation !== feed.conversation) {
        loop.conversation = feed.conversation;
        history.replaceState({}, "", `?c=${feed.conversation}`);
      }
      if (loop.conversation === feed.conversation) stuck = true;
      loop.accepted(feed);
    }
    if (feed.ended) loop.writing.delete(feed.conversation);
    else if (feed.answer) loop.writing.set(feed.conversation, feed.answer);
    if (feed.conversation === loop.conversation) {
      const changed = $("#thread").dataset.conversation !== String(feed.conversation);
      const editing = !changed && $("#thread .editing");
      if (changed) wanted = null;
      else remember($("#thread"));
      if (!editing || feed.key) replace($("#thread"), feed.html);
      refocus($("#thread"));
      $("#thread").dataset.conversation = feed.conversation;
      loop.isPrivate = Boolean(feed.private);
      $("#title").textContent = feed.title || "New chat";
      document.title = feed.title ? `${feed.title} – LLaVA Loop` : "LLaVA Loop";
      $(".room").dataset.empty = feed.html ? "no" : "yes";
      if (changed) stuck = true;
      if (feed.ended) announce(feed);
      const sought = feed.focus && $(`#thread article[data-turn="${feed.focus}"]`);
      if (sought) point(sought);
      else follow();
    }
    loop.changed();
  }

  // The keyboard stays where it was: an article that is put in anew gets the focus back on the button of the same deed,
  // at once or, while an answer comes and there are no buttons, at its end.
  let wanted = null;
  function remember(parent) {
    const element = document.activeElement;
    const at = [...parent.children].findIndex((each) => each.contains(element));
    if (at < 0) return;
    wanted = { at, deed: element.closest(".editing") ? "edit" : element.dataset.do, value: element.dataset.value };
  }
  function refocus(parent) {
    if (!wanted) return;
    if (document.activeElement !== document.body) return void (wanted = null);
    const place = parent.children[wanted.at];
    const same = place ? $$(`[data-do="${wanted.deed}"]:not(:disabled)`, place) : [];
    const found = same.find((each) => each.dataset.value === wanted.value) || same[0];
    if (found) found.focus({ preventScroll: true });
    if (found) wanted = null;
  }

  // Articles that did not change keep their elements: selection, scroll and loaded pictures stay.
  function replace(parent, html) {
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    const before = new Map([...parent.children].map((each) => [each.outerHTML, each]));
    const children = [...fresh.content.children].map((each) => {
      const kept = before.get(each.outerHTML);
      before.delete(each.outerHTML);
      return kept || each;
    });
    children.forEach((child, index) => {
      if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] || null);
    });
    while (parent.children.length > children.length) parent.lastElementChild.remove();
  }

  function live(feed) {
    loop.updates = (loop.updates || 0) + 1;
    if (feed.conversation !== loop.conversation) return;
    const answer = $(`#thread .reply[data-turn="${feed.answer}"] .answer`);
    if (!answer) return;
    const fresh = document.createElement("template");
    fresh.innerHTML = feed.html;
    const blocks = [...fresh.content.childNodes];
    // Only the blocks that changed are put in anew; mostly that is the last paragraph.
    let same = 0;
    while (same < blocks.length && answer.childNodes[same]?.isEqualNode(blocks[same])) same += 1;
    while (answer.childNodes.length > same) answer.lastChild.remove();
    answer.append(...blocks.slice(same));
    if (feed.phase) {
      const phase = document.createElement("p");
      phase.className = "phase";
      phase.textContent = feed.phase;
      answer.append(phase);
      if ($("#announce").textContent !== feed.phase) $("#announce").textContent = feed.phase;
    }
    follow();
  }

  function announce(feed) {
    const replies = $$("#thread .reply");
    const last = replies.length && $(".answer", replies[replies.length - 1]);
    $("#announce").textContent = last ? last.textContent.slice(0, 500) : feed.title;
  }

  // What was searched for stands in the middle, and is tinted for a moment.
  function point(place) {
    stuck = false;
    place.scrollIntoView({ block: "center", behavior: "instant" });
    place.classList.add("sought");
    setTimeout(() => place.classList.remove("sought"), 2400);
  }

  function follow() {
    const scroll = $("#scroll");
    const empty = $(".room").dataset.empty === "yes";
    if (stuck || empty) scroll.scrollTo({ top: empty ? 0 : scroll.scrollHeight, behavior: "instant" });
    $("#to-end").hidden = stuck || scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 160;
  }

  const article = (element) => element.closest("article");
  loop.does("copy", async (element) => {
    const text = article(element).dataset.raw;
    try {
      await navigator.clipboard.writeText(text);
    } catch { // not allowed on plain http
      const box = Object.assign(document.createElement("textarea"), { value: text });
      document.body.append(box);
      box.select();
      document.execCommand("copy");
      box.remove();
    }
    const use = $("use", element);
    use.setAttribute("href", "#icon-check");
    setTimeout(() => use.setAttribute("href", "#icon-copy"), 1400);
  });
  loop.does("retry", (element) => loop.answer("retry", { turn: Number(article(element).dataset.question) }));
  loop.does("go-on", (element) => {
    loop.trimmed.add(loop.conversation);
    loop.answer("retry", { turn: Number(article(element).dataset.question) });
  });
  loop.does("anew", (element) => {
    const question = $(`#thread .question[data-turn="${article(element).dataset.question}"]`);
    loop.open(null);
    loop.redraft(question?.dataset.raw || "");
  });
  loop.does("version", (element) =>
    loop.say("version", {
      conversation: loop.conversation, turn: Number(article(element).dataset.turn), step: Number(element.dataset.value),
    }));
  loop.does("to-end", () => { stuck = true; follow(); });
  loop.does("enlarge", (element) => {
    $("#light img").src = element.dataset.picture;
    $("#light").showModal();
  });

  function edit(question) {
    if (!question || $(".editing", question) || loop.busy()) return;
    const form = document.createElement("form");
    form.className = "editing";
    form.innerHTML = '<textarea aria-label="The question" dir="auto"></textarea><div class="choices">' +
      '<button type="button" class="choice">Cancel</button><button type="submit" class="choice first">Ask anew</button></div>';
    const box = $("textarea", form);
    box.value = question.dataset.raw;
    question.dataset.editing = "yes";
    question.append(form);
    const close = () => { form.remove(); delete question.dataset.editing; };
    $("button", form).addEventListener("click", close);
    box.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { event.stopPropagation(); close(); }
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !loop.touch.matches) { event.preventDefault(); form.requestSubmit(); }
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      loop.answer("edit", { turn: Number(question.dataset.turn), text: box.value });
    });
    box.style.height = `${Math.min(box.scrollHeight + 2, 320)}px`;
    box.focus();
  }
  loop.does("edit", (element) => edit(article(element)));
  loop.does("edit-question", (element) => edit($(`#thread .question[data-turn="${article(element).dataset.question}"]`)));

  loop.on("thread", show);
  loop.on("live", live);
  loop.start(() => {
    $("#scroll").addEventListener("scroll", () => {
      const scroll = $("#scroll");
      stuck = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
      if (stuck) $("#to-end").hidden = true;
    }, { passive: true });
    $("#light").addEventListener("click", () => $("#light").close());
    const fromAddress = () => new URLSearchParams(location.search).get("c");
    window.addEventListener("popstate", () => loop.open(fromAddress(), ""));
    // An answer that another tab, or a page that is gone, is writing: look again until it has ended.
    setInterval(() => {
      if (document.hidden || loop.busy() || !$('#thread .reply[data-state="running"]')) return;
      loop.say("open", { conversation: loop.conversation });
    }, 1500);
    // What another tab did meanwhile is there when somebody comes back to this one.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden || loop.busy() || !loop.conversation || $(".room").dataset.view !== "chat") return;
      loop.say("open", { conversation: loop.conversation });
    });
    loop.open(fromAddress(), "");
  });
})();
