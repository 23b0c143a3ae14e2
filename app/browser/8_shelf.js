// A person's own order among their conversations: the menu of each, tags, the archive, files in and out, and the switch
// that keeps a conversation out of training.
"use strict";
(() => {
  const { $, $$ } = loop;

  // -- the menu of a conversation
  let chosen = null; // id of the conversation that the menu is about
  const chat = (id = chosen) => $(`#chats .chat[data-conversation="${id}"]`);
  const items = () => $$("#chat-menu [role=menuitem]");
  loop.does("chat-menu", (element) => {
    const menu = $("#chat-menu");
    const about = element.closest(".chat");
    chosen = about.dataset.conversation;
    $('[data-value="pin"] span', menu).textContent = "pinned" in about.dataset ? "Unpin" : "Pin";
    $('[data-value="archive"] span', menu).textContent = "archived" in about.dataset ? "Take out of the archive" : "Archive";
    menu.showPopover();
    const [at, size] = [element.getBoundingClientRect(), menu.getBoundingClientRect()];
    menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`;
    menu.style.top = `${Math.max(8, Math.min(at.bottom + 4, innerHeight - size.height - 8))}px`;
    items()[0].focus();
  });
  function close() {
    $("#chat-menu").hidePopover();
    if (chat()) loop.refocus(chat(), "chat-menu");
  }
  const change = (event, on) => loop.say(event, { conversation: chosen, on, ...loop.view() });
  const deeds = {
    rename: (about) => loop.rename(about),
    pin: (about) => change("pin", !("pinned" in about.dataset)),
    tags: (about) => tagging(about),
    archive: (about) => change("archive", !("archived" in about.dataset)),
    zip: () => save("zip"),
    json: () => save("json"),
    delete: (about) => loop.doom(about),
  };
  loop.does("chat-deed", (element) => {
    close();
    if (chat()) deeds[element.dataset.value](chat());
  });
  // A card that was opened from the menu gives the focus back to an item of it, which is hidden by then.
  function back() {
    if (loop.unfocused() && chat()) loop.refocus(chat(), "chat-menu");
  }

  // -- tags
  let known = [];
  let tags = [];
  loop.offerTags = (all) => {
    known = all;
    const select = $("#of-tag");
    const kept = select.value;
    if ($$("option", select).slice(1).map((each) => each.value).join("\n") === all.join("\n")) return;
    const offered = kept && !all.includes(kept) ? [kept, ...all] : all; // until somebody chooses another
    select.replaceChildren(new Option("All tags", ""), ...offered.map((tag) => new Option(tag, tag)));
    select.value = kept;
    select.hidden = !offered.length;
  };
  function drawTags() {
    $("#tags-set").replaceChildren(...tags.map((tag) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "tag", textContent: tag });
      button.setAttribute("aria-label", `Remove the tag ${tag}`);
      button.title = "Remove";
      button.addEventListener("click", () => { tags = tags.filter((each) => each !== tag); drawTags(); $("#new-tag").focus(); });
      return button;
    }));
    $("#known-tags").replaceChildren(...known.filter((tag) => !tags.includes(tag)).map((tag) => new Option(tag)));
  }
  function tagging(about) {
    tags = about.dataset.tags ? about.dataset.tags.split("\n") : [];
    $("#new-tag").value = "";
    drawTags();
    $("#tagging").showModal();
    $("#new-tag").focus();
  }
  function addTag() {
    const tag = $("#new-tag").value.trim().replace(/\s+/g, " ");
    $("#new-tag").value = "";
    if (tag && !tags.includes(tag)) tags = [...tags, tag];
    drawTags();
    return tag;
  }

  // -- files
  async function save(kind) {
    try {
      const answer = await fetch(`conversations/${chosen}.${kind}`);
      if (!answer.ok) return loop.notice((await answer.json().catch(() => ({}))).error || `The file was refused (status ${answer.status}).`);
      const name = /filename\*=UTF-8''([^;]+)/.exec(answer.headers.get("content-disposition") || "");
      const address = URL.createObjectURL(await answer.blob());
      Object.assign(document.createElement("a"), { href: address, download: name ? decodeURIComponent(name[1]) : `conversation.${kind}` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    } catch {
      loop.notice("The file could not be fetched: the program did not answer. Try it again in a moment.");
    }
  }
  loop.does("import", () => $("#import-file").click());
  async function read(file) {
    loop.notice("");
    try {
      const answer = await fetch("conversations", { method: "POST", body: file, headers: { "content-type": "application/json" } });
      const told = await answer.json().catch(() => ({}));
      if (!answer.ok) return loop.notice(`${file.name} was not imported. ${told.error || `The program refused it (status ${answer.status}).`}`);
      loop.open(told.conversation);
      loop.list();
    } catch {
      loop.notice(`${file.name} could not be sent: the program did not take it. Check that it runs and that the file is not too large.`);
    }
  }

  // -- which are listed
  loop.does("archived", (element) => {
    element.setAttribute("aria-pressed", String(element.getAttribute("aria-pressed") !== "true"));
    loop.list();
  });

  // -- what is stored, and whether it may be learnt from
  const STORED = {
    false: "Questions, pictures, answers and ratings are stored here and may be used for training.",
    true: "Questions, pictures, answers and ratings are stored here for you alone.",
  };
  function tell() {
    $("#private").setAttribute("aria-checked", String(loop.isPrivate));
    if ($("#stored").textContent !== STORED[loop.isPrivate]) $("#stored").textContent = STORED[loop.isPrivate];
  }
  loop.does("private", () => {
    loop.isPrivate = !loop.isPrivate;
    tell();
    // A new conversation is begun so; it is told with its first question.
    if (loop.conversation) loop.say("private", { conversation: loop.conversation, on: loop.isPrivate, ...loop.view() });
  });
  document.addEventListener("loop:changed", () => loop.begun && tell());

  loop.start(() => {
    for (const card of ["#tagging", "#ask-delete"]) $(card).addEventListener("close", back);
    $("#of-tag").addEventListener("change", loop.list);
    $("#chat-menu").addEventListener("keydown", (event) => {
      const at = items().indexOf(document.activeElement);
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
      if (event.key === "Escape" || event.key === "Tab") close();
      else if (to === undefined) return;
      else items().at(to % items().length).focus();
      event.stopPropagation();
      event.preventDefault();
    });
    $("#new-tag").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing && addTag()) event.preventDefault();
    });
    $("#tagging form").addEventListener("submit", (event) => {
      event.preventDefault();
      addTag();
      loop.say("tag", { conversation: chosen, tags, ...loop.view() });
      $("#tagging").close();
    });
    $("#import-file").addEventListener("change", async (event) => {
      const [file] = event.target.files;
      event.target.value = "";
      if (file) await read(file);
    });
    tell();
  });
})();
