// What is being written: text and pictures. A picture goes to the store at once, so that a bad one is refused at once,
// and the draft stays until the program has accepted it.
"use strict";
(() => {
  const { $ } = loop;
  let pictures = []; // {id, blob, url, ticket, sending}

  function notice(words) {
    $("#notice span").textContent = words;
    $("#notice").hidden = !words;
  }
  loop.notice = notice;
  loop.does("hide-notice", () => notice(""));

  const KEPT = "llava-loop-draft"; // a reload keeps what was being written, in this tab
  function grow() {
    const box = $("#draft");
    try { sessionStorage.setItem(KEPT, box.value); } catch { /* private window */ }
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight, Math.round(innerHeight * 0.4))}px`;
  }

  function draw() {
    $("#drafts").replaceChildren(...pictures.map((picture, index) => {
      const chip = document.createElement("div");
      chip.className = "chip";
      chip.dataset.sending = picture.ticket ? "no" : "yes";
      const image = Object.assign(document.createElement("img"), { src: picture.url, alt: `Picture ${index + 1} of the message` });
      const remove = document.createElement("button");
      remove.type = "button";
      remove.setAttribute("aria-label", `Remove picture ${index + 1}`);
      remove.innerHTML = '<svg class="icon"><use href="#icon-close"></use></svg>';
      remove.addEventListener("click", () => { drop(picture.id); $("#draft").focus(); });
      chip.append(image, remove);
      return chip;
    }));
    refresh();
  }

  function drop(id) {
    pictures = pictures.filter((each) => each.id !== id || void URL.revokeObjectURL(each.url));
    draw();
  }

  // A ticket for a stored picture, or the sentence that says why there is none. Two go at a time.
  const AT_ONCE = 2;
  const line = [];
  let sending = 0;
  async function store(blob, name, wanted = () => true) {
    if (sending >= AT_ONCE) await new Promise((next) => line.push(next));
    else sending += 1;
    try {
      if (!wanted()) return {};
      const answer = await fetch("pictures", { method: "POST", body: blob, headers: { "content-type": "application/octet-stream" } });
      const told = await answer.json().catch(() => ({}));
      if (answer.ok) return { ticket: told.ticket };
      return { refused: told.error ? `${name}: ${told.error}` : `${name} was refused (status ${answer.status}).` };
    } catch {
      return { refused: `${name} could not be sent: the program did not take it. Check that it runs and that the file is not too large.` };
    } finally {
      if (line.length) line.shift()(); // hands its place on
      else sending -= 1;
    }
  }

  const MOST = 10; // as many as a message may carry
  let refusals = []; // of what was chosen together: none hides the one before
  function refuse(words) {
    refusals.push(words);
    notice(refusals.join(" "));
  }
  async function add({ blob, name }) {
    const picture = { id: loop.key(), blob, url: URL.createObjectURL(blob), ticket: null };
    pictures.push(picture);
    draw();
    const { ticket, refused } = await store(blob, name, () => pictures.includes(picture));
    picture.ticket = ticket || null;
    if (refused) { refuse(refused); drop(picture.id); } else draw();
  }
  function addAll(given) {
    refusals = [];
    notice("");
    const room = MOST - pictures.length;
    const left = given.slice(room);
    if (left.length) {
      const what = left.length > 1 ? `${left.length} files were left out; send them` : `${left[0].name} was left out; send it`;
      refuse(`A message carries at most ${MOST} pictures. ${what} with the next one.`);
    }
    return Promise.all(given.slice(0, room).map(add));
  }
  loop.addPicture = (blob, name) => addAll([{ blob, name }]);
  loop.addPictures = (files) => addAll([...files].map((file) => ({ blob: file, name: file.name || "The picture" })));

  function refresh() {
    const busy = loop.running();
    $("#send").hidden = busy;
    $("#stop").hidden = !busy;
    $("#composer").dataset.busy = busy ? "yes" : "no";
    const something = $("#draft").value.trim() || pictures.length;
    $("#send").dataset.empty = something ? "no" : "yes";
  }

  function submit() {
    if (loop.running()) return;
    const text = $("#draft").value;
    if (!text.trim() && !pictures.length) return notice("Nothing to send yet: write a question or add a picture.");
    if (pictures.some((each) => !each.ticket)) return notice("A picture is still on its way; send in a moment.");
    notice("");
    loop.answer("ask", { text, pictures: pictures.map((each) => each.ticket) }, { text, ids: pictures.map((each) => each.id) });
  }
  loop.submit = submit;

  loop.redraft = (text) => {
    $("#draft").value = text;
    grow();
    refresh();
    $("#draft").focus();
  };
  document.addEventListener("loop:accepted", (event) => {
    const { sent } = event.detail;
    if (!sent) return;
    if ($("#draft").value === sent.text) $("#draft").value = "";
    pictures = pictures.filter((each) => !sent.ids.includes(each.id) || void URL.revokeObjectURL(each.url));
    grow();
    draw();
  });
  document.addEventListener("loop:changed", () => loop.begun && refresh());

  loop.does("pick", () => $("#file").click());
  let fetching = false; // a second click on an example asks nothing
  loop.does("example", async (card) => {
    if (fetching || loop.running()) return;
    fetching = true;
    card.dataset.asked = "yes";
    notice("");
    const visit = loop.visit;
    try {
      const picture = await fetch(card.dataset.picture);
      const { ticket, refused } = await store(await picture.blob(), "The example");
      if (refused) notice(refused); // what is being written stays as it is
      else if (visit === loop.visit) loop.answer("ask", { text: card.dataset.question, pictures: [ticket] });
    } catch {
      notice("The example could not be fetched: the program did not answer. Try it again in a moment.");
    } finally {
      fetching = false;
      delete card.dataset.asked;
    }
  });

  loop.start(() => {
    const room = $(".room");
    const inChat = () => room.dataset.view === "chat"; // elsewhere nobody would see what was added
    $("#composer").addEventListener("submit", (event) => { event.preventDefault(); submit(); });
    $("#draft").addEventListener("input", () => { grow(); refresh(); });
    $("#file").addEventListener("change", async (event) => {
      await loop.addPictures(event.target.files);
      event.target.value = "";
      $("#draft").focus();
    });
    document.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files || [])].filter((file) => file.type.startsWith("image/"));
      if (!inChat() || !files.length || document.querySelector("dialog[open]")) return;
      if (event.clipboardData.getData("text/plain")) return; // office programs add a picture of the text
      event.preventDefault();
      loop.addPictures(files);
    });
    let depth = 0;
    const carries = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
    room.addEventListener("dragenter", (event) => { if (inChat() && carries(event)) { depth += 1; room.dataset.dropping = "yes"; } });
    room.addEventListener("dragleave", () => { depth -= 1; if (depth <= 0) { depth = 0; delete room.dataset.dropping; } });
    room.addEventListener("dragover", (event) => { if (carries(event)) event.preventDefault(); });
    room.addEventListener("drop", (event) => {
      depth = 0;
      delete room.dataset.dropping;
      if (!carries(event)) return;
      event.preventDefault(); // or the browser would leave the page for the file
      if (inChat()) loop.addPictures(event.dataTransfer.files);
    });
    try { $("#draft").value = sessionStorage.getItem(KEPT) || ""; } catch { /* private window */ }
    grow();
    refresh();
    if (matchMedia("(min-width: 800px)").matches) $("#draft").focus();
  });
})();
