// What does the model see? The prompt of one answer, from the worker. Also switches off what the server has not:
// elements say with data-needs what they need, and the status says what is lacking.
"use strict";
(() => {
  const { $ } = loop;
  let asked = null; // the answer whose prompt is wanted
  loop.does("see-prompt", (element) => {
    asked = Number(element.closest("article").dataset.turn);
    $("#prompt-body").innerHTML = '<p class="facts">Reading</p>';
    $("#prompt").showModal();
    loop.say("prompt", { turn: asked });
  });
  loop.on("prompt", (feed) => {
    if (feed.turn !== asked || !$("#prompt").open) return;
    $("#prompt-body").innerHTML = feed.html;
  });
  loop.on("status", (feed) => {
    if ($(".room").dataset.lacks !== feed.lacks) $(".room").dataset.lacks = feed.lacks;
  });
})();
