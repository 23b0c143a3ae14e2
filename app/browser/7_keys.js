// Enter sends, Shift+Enter breaks the line, Esc closes or stops, Ctrl+K begins a new chat. On a touch screen Enter breaks
// the line: its keyboard has no Shift+Enter, and the button is at hand.
"use strict";
loop.touch = matchMedia("(pointer: coarse)");
document.addEventListener("keydown", (event) => {
  if (!loop.begun || event.isComposing) return; // Enter also ends an input method's word
  if (event.target.id === "draft" && event.key === "Enter" && !event.shiftKey && !loop.touch.matches) {
    event.preventDefault();
    loop.submit();
  } else if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (!loop.closeSides() && loop.running()) loop.act("stop"); // what lies on top goes first
  } else if (event.key?.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    loop.act("new");
  }
});
