// Enter sends, Shift+Enter breaks the line, Esc stops or closes, Ctrl+K begins a new chat.
"use strict";
document.addEventListener("keydown", (event) => {
  if (!loop.begun || event.isComposing) return; // Enter also ends an input method's word
  if (event.target.id === "draft" && event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    loop.submit();
  } else if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (loop.busy()) loop.act("stop");
    else loop.closeDrawer();
  } else if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    loop.act("new");
  }
});
