// What was sent and not yet accepted. One request at a time; where nothing comes back it is sent once more with the same
// key, which the log takes for the same request, so that the composer never waits for ever.
"use strict";
(() => {
  loop.patience = 12_000; // milliseconds: the log answers in one, a loaded machine in a few thousand
  const repeated = new Set(); // keys sent twice: the second one's refusal says nothing once the first was accepted

  // Whether an answer comes, or was asked for, in what is open now; a chat left behind may have one too.
  loop.running = () => loop.writing.has(loop.conversation) || loop.pending?.visit === loop.visit;
  loop.settle = () => {
    clearTimeout(loop.pending?.timer);
    loop.pending = null;
  };

  // `sent` is what the draft was made of, to be cleared once the question is accepted. False: it was not sent.
  loop.answer = (kind, data, sent = null) => {
    if (loop.lost) loop.notice("There is no connection to the program. What you wrote stays here; send it when it is back.");
    else if (!loop.running() && loop.pending) loop.notice("The question before is still on its way; send in a moment.");
    if (loop.lost || loop.busy()) return false;
    const key = loop.key();
    const message = {
      kind, key, conversation: loop.conversation, choices: loop.choices(),
      drop_oldest: loop.trimmed.has(loop.conversation), private: loop.isPrivate, ...data,
    };
    loop.pending = { key, message, sent, visit: loop.visit, stop: false, timer: setTimeout(unheard, loop.patience, key) };
    loop.say("turn", message);
    loop.changed();
    return true;
  };

  async function unheard(key) {
    await loop.checkLogin();
    if (loop.pending?.key !== key) return;
    if (repeated.has(key)) {
      loop.settle();
      loop.notice("The program did not take this. What you wrote is still here; send it again.");
      loop.changed();
      return;
    }
    repeated.add(key);
    loop.pending.timer = setTimeout(unheard, loop.patience, key);
    loop.say("turn", loop.pending.message);
  }

  // After a restart the program may not know its visitors any more; loading the page anew leads to the login.
  loop.checkLogin = async () => {
    try {
      if ((await fetch("gradio_api/login_check")).status === 401) location.reload();
    } catch { /* the program is not there; the line says so */ }
  };

  loop.accepted = (feed) => {
    const { sent, stop } = loop.pending;
    loop.settle();
    if (stop) loop.say("stop", { conversation: feed.conversation });
    document.dispatchEvent(new CustomEvent("loop:accepted", { detail: { sent } }));
  };
  loop.does("stop", () => {
    if (loop.pending?.visit === loop.visit) loop.pending.stop = true; // as soon as it is accepted: before, there is nothing
    else if (loop.conversation) loop.say("stop", { conversation: loop.conversation });
  });
  loop.on("notice", (feed) => {
    if (feed.key && loop.pending?.key === feed.key) loop.settle();
    else if (repeated.has(feed.key)) return;
    loop.notice(feed.words);
    loop.changed();
  });
})();
