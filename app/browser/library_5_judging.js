// What a reviewer makes of the answer that is looked at: a thumb, what was wrong, and a note. Each is kept at once, and what
// stands in the note goes along with the other two.
"use strict";
(() => {
  const { $, $$ } = loop;
  const library = loop.curation;
  const opened = () => {
    const open = $("#desk .case");
    return open && Number(open.dataset.answer) === library.chosen ? open : null;
  };
  const BEFORE_KEPT_MS = 120; // who leaves the note by ticking a reason changes two things at once
  const soon = new Map(); // answer -> the timer of what is about to be kept of it
  const ticked = (open) => $$('.judging [name="reason"]:checked', open).map((box) => box.value);

  function keep(open, rating) {
    const data = { turn: Number(open.dataset.answer), rating };
    clearTimeout(soon.get(data.turn)); // it would come after this, with the rating of before
    const note = $('.judging [name="note"]', open);
    if (note) data.note = note.value;
    if (rating === "down" && open.dataset.rating === "down") data.reasons = ticked(open);
    library.say("rate", data);
  }
  library.rate = (rating) => {
    const open = opened();
    if (open) keep(open, open.dataset.rating === rating ? "" : rating);
  };
  library.reason = (number) => opened() && $$('#desk .judging [name="reason"]')[number - 1]?.click();
  loop.does("library-rate", (element) => library.rate(element.dataset.value));

  loop.start(() => {
    $("#desk").addEventListener("change", (event) => {
      const open = event.target.closest(".judging") && event.target.closest(".case");
      if (!open) return;
      const answer = Number(open.dataset.answer);
      clearTimeout(soon.get(answer));
      soon.set(answer, setTimeout(() => keep(open, open.dataset.rating), BEFORE_KEPT_MS));
    });
    $("#desk").addEventListener("submit", (event) => {
      if (!event.target.matches(".judging")) return;
      event.preventDefault(); // Enter in the note: what was changed is kept, and the keys are the queue's again
      document.activeElement.blur();
    });
  });
})();
