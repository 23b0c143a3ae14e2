// What somebody makes of an answer: a thumb, why, and the right answer. A thumb is kept at once; what is written in a
// form stays in it until the program has taken it.
"use strict";
(() => {
  const { $, $$ } = loop;
  const article = (element) => element.closest("article");
  const turnOf = (place) => Number(place.dataset.turn);

  // Sends an event and tells how it went: "" when it was taken, else why not.
  const PATIENCE = 12_000;
  const waiting = new Map(); // key -> what is to be called
  loop.deed = (event, data) =>
    new Promise((done) => {
      const key = loop.key();
      const end = (words) => { if (waiting.delete(key)) done(words); };
      waiting.set(key, end);
      setTimeout(end, PATIENCE, "The program did not answer. What you wrote is still here; try again.");
      loop.say(event, { ...data, key });
    });
  loop.on("thread", (feed) => waiting.get(feed.deed)?.(""));
  loop.on("notice", (feed) => waiting.get(feed.key)?.(feed.words));

  async function send(dialog, event, data) {
    const button = $('[type="submit"]', dialog);
    if (button.disabled) return false;
    button.disabled = true;
    const words = await loop.deed(event, data);
    button.disabled = false;
    $(".refused", dialog).textContent = words;
    if (words) return false;
    loop.notice("");
    dialog.close();
    return true;
  }

  // -- a thumb, and why
  let judged = null; // {turn, rating}
  loop.does("rate", (element) => {
    const place = article(element);
    const rating = element.getAttribute("aria-pressed") === "true" ? "" : element.dataset.value;
    for (const each of $$('[data-do="rate"]', place)) each.setAttribute("aria-pressed", String(each.dataset.value === rating));
    loop.say("rate", { turn: turnOf(place), rating });
    if (rating === "down") judge(place, rating);
  });
  loop.does("judge", (element) => judge(article(element), article(element).dataset.rating));
  function judge(place, rating) {
    judged = { turn: turnOf(place), rating };
    const dialog = $("#judge");
    const reasons = place.dataset.reasons.split(" ");
    $("#judge-head").textContent = rating === "down" ? "What was wrong?" : "A note on this answer";
    $(".reasons", dialog).hidden = rating !== "down";
    for (const box of $$('[name="reason"]', dialog)) box.checked = rating === "down" && reasons.includes(box.value);
    $("#judge-note").value = place.dataset.note;
    $(".refused", dialog).textContent = "";
    dialog.showModal();
  }
  const judgement = () => ({
    ...judged,
    reasons: $$('#judge [name="reason"]').filter((box) => box.checked && judged.rating === "down").map((box) => box.value),
    note: $("#judge-note").value,
  });
  loop.does("judge-correct", async () => {
    const { turn } = judged;
    if (await send($("#judge"), "rate", judgement())) correct(turn);
  });

  // -- the right answer
  let corrected = null; // the turn whose right answer is being written
  const drafts = new Map(); // turn -> what was written and not yet kept
  loop.does("correct", (element) => correct(turnOf(article(element))));
  function correct(turn) {
    const place = $(`#thread .reply[data-turn="${turn}"]`);
    if (!place) return;
    corrected = turn;
    const question = $(`#thread .question[data-turn="${place.dataset.question}"]`);
    $("#correct-question").textContent = question?.dataset.raw || "(a picture without words)";
    $("#correct-given").textContent = place.dataset.raw || "(nothing)";
    $("#correct-plates").replaceChildren(...pictures(question));
    $("#correct-text").value = drafts.get(turn) ?? place.dataset.correction ?? "";
    $("#uncorrect").hidden = place.dataset.correction === undefined;
    $("#correct .refused").textContent = "";
    $("#correct").showModal();
    $("#correct-text").focus();
  }
  // Those of the question, or of the nearest one above that has any.
  function pictures(question) {
    let place = question;
    while (place && !$(".picture", place)) place = place.previousElementSibling;
    return (place ? $$(".picture", place) : []).map((each, index) =>
      Object.assign(document.createElement("img"), { src: each.dataset.picture, alt: `Picture ${index + 1}` }));
  }
  loop.does("uncorrect", async () => {
    const turn = corrected;
    if (await send($("#correct"), "correct", { turn, remove: true })) drafts.delete(turn);
  });

  // What opened a card was put in anew when the log had taken the thumb or the answer: the focus goes to its successor.
  function back(turn, selector) {
    if (!loop.unfocused()) return;
    $(`#thread .reply[data-turn="${turn}"] ${selector}`)?.focus({ preventScroll: true });
  }

  loop.start(() => {
    $("#judge").addEventListener("close", () => back(judged.turn, `[data-do="rate"][data-value="${judged.rating || "up"}"]`));
    $("#correct").addEventListener("close", () => back(corrected, '[data-do="correct"]'));
    $("#judge form").addEventListener("submit", (event) => {
      event.preventDefault();
      send($("#judge"), "rate", judgement());
    });
    $("#correct-text").addEventListener("input", () => drafts.set(corrected, $("#correct-text").value));
    $("#correct-text").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("#correct form").requestSubmit();
    });
    $("#correct form").addEventListener("submit", async (event) => {
      event.preventDefault();
      const [turn, text] = [corrected, $("#correct-text").value];
      if (await send($("#correct"), "correct", { turn, text })) drafts.delete(turn);
    });
  });
})();
