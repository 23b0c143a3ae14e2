// The views of the page: the chat, and beside it those that the program offers to this person. Which one is shown stands
// in the address, as `?library`.
"use strict";
(() => {
  const { $, $$ } = loop;
  const views = {}; // name -> {title, side, enter, leave, offered}
  let shown = "chat";
  const inAddress = () => {
    const given = new URLSearchParams(location.search);
    return Object.keys(views).find((name) => given.has(name) && views[name].offered) || "chat";
  };
  function show(name) {
    views[shown]?.leave?.();
    shown = name;
    $(".room").dataset.view = name;
    for (const button of $$("#views button")) {
      if (button.dataset.do === `show-${name}`) button.setAttribute("aria-current", "page");
      else button.removeAttribute("aria-current");
    }
    $(".side").setAttribute("aria-label", views[name]?.side || "Conversations");
    if (name === "chat") return;
    document.title = `${views[name].title} – LLaVA Loop`;
    views[name].enter();
  }
  // `enter` and `leave` are called when it comes into view and when it goes; `offer` says that this person has it.
  loop.view_of = (name, view) => {
    views[name] = view;
    loop.does(`show-${name}`, () => {
      loop.closeSides();
      if (shown === name) return;
      history.pushState({}, "", `?${name}`);
      show(name);
    });
    return {
      get shown() { return shown === name; },
      offer: () => {
        if (view.offered) return;
        view.offered = true;
        $("#views").hidden = false;
        $(`#views [data-do="show-${name}"]`).hidden = false;
        if (inAddress() === name) show(name);
      },
    };
  };
  loop.does("show-chat", () => { if (shown !== "chat") loop.open(loop.conversation); });
  // Whatever opens a conversation, or a new one, leads back to the chat.
  const openChat = loop.open;
  loop.open = (id, step = "pushState") => {
    if (shown !== "chat" && !(step === "" && inAddress() === shown)) show("chat");
    openChat(id, step);
  };
  loop.start(() => {
    $(".room").dataset.view = "chat";
    window.addEventListener("popstate", () => shown !== inAddress() && show(inAddress()));
  });
})();
