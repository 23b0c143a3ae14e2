// The conversation in the middle: shown whole from the log, and while an answer comes, only that answer is touched.
"use strict";
(() => {
  const { $, $$ } = loop;
  let stuck = true; // whether the newest text is kept in view

  loop.open = (id, remember = true) => {
    loop.conversation = id;
    if (remember) history.pushState({}, "", id ? `?c=${id}` : location.pathname);
    if (id) loop.say("open", { conversation: id });
    else show({ conversation: null, title: "", html: "" });
    loop.changed();
  };

  function show(feed) {
    if (feed.key && loop.pending?.key === feed.key) {
      loop.pending = null;
      if (loop.conversation !== feed.conversation) {
        loop.conversation = feed.conversation;
        history.replaceState({}, "", `?c=${feed.conversation}`);
      }
      stuck = true;
      document.dispatchEvent(new CustomEvent("loop:accepted", { detail: feed }));
    }
    if (feed.ended) loop.writing.delete(feed.conversation);
    else if (feed.answer) loop.writing.set(feed.conversation, feed.answer);
    if (feed.conversation === loop.conversation) {
      const changed = $("#thread").dataset.conversation !== String(feed.conversation);
      const editing = !changed && $("#thread .editing");
      if (!editing || feed.key) replace($("#thread"), feed.html);
      $("#thread").dataset.conversation = feed.conversation;
      $("#title").textContent = feed.title;
      document.title = feed.title ? `${feed.title} – LLaVA Loop` : "LLaVA Loop";
      $(".room").dataset.empty = feed.html ? "no" : "yes";
      if (changed) stuck = true;
      if (feed.ended) announce(feed);
      follow();
    }
    loop.changed();
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
    const replies = $$("#thread .reply .answer");
    $("#announce").textContent = replies.length ? replies[replies.length - 1].textContent.slice(0, 500) : feed.title;
  }

  function follow() {
    const scroll = $("#scroll");
    const empty = $(".room").dataset.empty === "yes";
    if (stuck || empty) scroll.scrollTo({ top: empty ? 0 : scroll.scrollHeight, behavior: "instant" });
    $("#to-end").hidden = stuck || scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 160;
  }

  loop.answer = (kind, data) => {
    if (loop.busy()) return;
    const key = loop.key();
    loop.pending = { key, kind };
    loop.say("turn", {
      kind, key, conversation: loop.conversation, choices: loop.choices(),
      drop_oldest: loop.trimmed.has(loop.conversation), ...data,
    });
    loop.changed();
  };

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
  loop.does("rate", (element) => {
    const value = element.getAttribute("aria-pressed") === "true" ? "" : element.dataset.value;
    for (const each of $$('[data-do="rate"]', article(element))) each.setAttribute("aria-pressed", String(each.dataset.value === value));
    loop.say("rate", { turn: Number(article(element).dataset.turn), rating: value });
  });
  loop.does("version", (element) =>
    loop.say("version", {
      conversation: loop.conversation, turn: Number(article(element).dataset.turn), step: Number(element.dataset.value),
    }));
  loop.does("stop", () => {
    if (loop.conversation) loop.say("stop", { conversation: loop.conversation });
    else loop.stopSoon = true;
  });
  document.addEventListener("loop:accepted", (event) => {
    if (loop.stopSoon) loop.say("stop", { conversation: event.detail.conversation });
    loop.stopSoon = false;
  });
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
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
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
    window.addEventListener("popstate", () => loop.open(fromAddress(), false));
    // An answer that another tab, or a page that is gone, is writing: look again until it has ended.
    setInterval(() => {
      if (document.hidden || loop.busy() || !$('#thread .reply[data-state="running"]')) return;
      loop.say("open", { conversation: loop.conversation });
    }, 1500);
    loop.open(fromAddress(), false);
  });
})();
