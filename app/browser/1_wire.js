// The line to the program. The page holds ids only: which conversation is open, and which answer is being written.
"use strict";
window.loop = (() => {
  const loop = {
    conversation: null, // id of the open conversation, null for a new one
    visit: 0, // counts what was opened, so that what comes late does not pull back who has moved on
    pending: null, // what was sent and not yet accepted
    lost: false, // whether the program is silent
    writing: new Map(), // conversation id -> answer id that this page is receiving
    trimmed: new Set(), // conversations that go on without their oldest turns
    isPrivate: false, // whether the open conversation, or the next new one, is kept out of training
    sought: null, // the turn that a search found, to be shown when its conversation comes
  };
  const listeners = {};

  loop.$ = (selector, within = document) => within.querySelector(selector);
  loop.$$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  loop.on = (feed, listener) => (listeners[feed] ||= []).push(listener);
  // A line for events; what is said before it stands goes out when it does. Each part of the page has one of its own,
  // and the program connects it by the part's name.
  loop.wires = {};
  loop.wire = (part = "") => {
    const waiting = [];
    let trigger = null;
    const prefix = part && `${part}_`;
    const say = (event, data = {}) => (trigger ? trigger(prefix + event, data) : waiting.push([event, data]));
    const connect = (real) => {
      trigger = real;
      for (const [event, data] of waiting.splice(0)) say(event, data);
    };
    return (loop.wires[part] = { say, connect });
  };
  Object.assign(loop, loop.wire());
  // Each feed is a hidden component whose value is the newest message of one kind.
  loop.feed = (name, watch, props) =>
    watch("value", () => {
      if (props.value) for (const listener of listeners[name] || []) listener(props.value);
    });
  loop.key = () => {
    const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID is missing on plain http
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  };

  // Clicks are told apart by data-do, wherever the element came from.
  const actions = {};
  loop.does = (name, action) => (actions[name] = action);
  loop.act = (name, element = null) => actions[name]?.(element);
  document.addEventListener("click", (event) => {
    const element = event.target.closest?.("[data-do]");
    if (element && actions[element.dataset.do]) {
      event.preventDefault();
      actions[element.dataset.do](element, event);
    }
  });

  // The shell is put into the page by the framework after this script has run.
  const starts = [];
  loop.start = (begin) => starts.push(begin);
  loop.begin = () => {
    if (loop.begun) return;
    loop.begun = true;
    for (const begin of starts) begin();
    document.documentElement.dataset.loop = "ready";
  };

  loop.busy = () => loop.pending !== null || loop.writing.has(loop.conversation);
  loop.changed = () => document.dispatchEvent(new CustomEvent("loop:changed"));
  // Whether nothing that can be seen has the focus: what was hidden keeps it until the page is drawn again.
  loop.unfocused = () => document.activeElement === document.body || document.activeElement.closest("dialog:not([open])") !== null;
  loop.does("close-card", (element) => element.closest("dialog").close());
  return loop;
})();
