// Making a data set: what it would hold follows every change, the work goes on in the program, and what was made before
// can be fetched.
"use strict";
(() => {
  const { $ } = loop;
  const library = loop.curation;
  let key = null;
  const LOOKS_MS = 500; // between two looks at what is being made

  function order() {
    const form = $("#order").elements;
    const share = (name) => Math.min(100, Math.max(0, Number(form[name].value) || 0)) / 100;
    return {
      format: form.format.value,
      several_pictures: form.format.value === "llava" && form.several_pictures.checked,
      selection: {
        filters: library.filters(), validation: share("validation"), test: share("test"),
        seed: Math.trunc(Number(form.seed.value) || 0), mask_personal_data: form.mask.checked,
      },
    };
  }
  library.forecast = () => {
    key = loop.key();
    $("#several").hidden = $("#order").elements.format.value !== "llava";
    $("#counts").dataset.old = "yes";
    library.say("outlook", { key, ...order() });
  };
  library.enters("export", () => { library.forecast(); library.say("jobs"); });
  loop.on("library_outlook", (feed) => {
    if (feed.key !== key) return;
    delete $("#counts").dataset.old;
    $("#counts").innerHTML = feed.counts;
    $("#rows").innerHTML = feed.rows;
    $("#readers").textContent = `Read by ${feed.readers}`;
    $("#make").disabled = !feed.number || $("#make").dataset.busy === "yes";
    $("#make").dataset.rows = feed.number;
  });
  let checked = null; // the number of the row that is wanted
  function check(number) {
    checked = number;
    $("#check-body").innerHTML = '<p class="facts">Reading</p>';
    $("#check").showModal();
    library.say("check", { number, ...order() });
  }
  loop.does("export-check", (element) => check(Number(element.closest(".row-shown").dataset.number)));
  loop.on("library_check", (feed) => {
    if (feed.number === checked) $("#check-body").innerHTML = feed.html;
  });
  loop.on("library_said", (feed) => { if (feed.failed) $("#check").close(); });

  // -- the work
  let looking;
  let last = "none";
  function progress(job, feed, kind) {
    job.hidden = feed.kind !== kind;
    job.dataset.phase = feed.phase;
    const bar = $(".bar", job);
    bar.classList.toggle("unknown", feed.phase === "running" && feed.fraction === null);
    const percent = Math.round(100 * (feed.fraction ?? 0));
    bar.setAttribute("aria-valuenow", String(percent));
    $("i", bar).style.width = `${percent}%`;
    $(".words", job).textContent = feed.words;
    $('[data-do="halt"]', job).hidden = feed.phase !== "running";
  }
  loop.on("library_jobs", (feed) => {
    const running = feed.phase === "running";
    progress($("#job"), feed, "export");
    progress($("#import-job"), feed, "import");
    if (feed.kind === "import" && last === "running" && !running) {
      library.say("library"); // its tag is new
      library.recount();
    }
    last = feed.phase;
    $('[data-do="import-pick"]').disabled = running;
    if (feed.html !== null) $("#made").innerHTML = feed.html;
    $("#make").dataset.busy = running ? "yes" : "no";
    $("#make").disabled = running || !Number($("#make").dataset.rows);
    clearTimeout(looking);
    if (running) looking = setTimeout(() => library.say("jobs"), LOOKS_MS);
  });
  loop.does("export-again", (element) => library.say("again", { name: element.closest("li").dataset.export }));
  loop.does("halt", () => library.say("halt"));

  // -- bringing in
  library.enters("import", () => library.say("jobs"));
  loop.does("import-pick", () => $("#library-file").click());
  async function bringIn(file) {
    const again = $("#import").elements.again.checked ? "?again=yes" : "";
    const sending = { kind: "import", phase: "running", fraction: null, words: `Sending ${file.name}` };
    progress($("#import-job"), sending, "import");
    $('[data-do="import-pick"]').disabled = true;
    try {
      const answer = await fetch(`library/imports${again}`, { method: "POST", body: file, headers: { "content-type": "application/octet-stream" } });
      const told = await answer.json().catch(() => ({}));
      if (answer.ok) {
        last = "running"; // a small file is in before the first look
        return library.say("jobs");
      }
      progress($("#import-job"), { ...sending, phase: "failed", words: told.error || `It was refused (status ${answer.status}).` }, "import");
    } catch {
      progress($("#import-job"), { ...sending, phase: "failed", words: "It could not be sent: the program did not take it." }, "import");
    }
    $('[data-do="import-pick"]').disabled = false;
  }

  loop.start(() => {
    let soon;
    $("#order").addEventListener("input", () => { clearTimeout(soon); soon = setTimeout(library.forecast, 200); });
    $("#library-file").addEventListener("change", (event) => {
      const [file] = event.target.files;
      event.target.value = "";
      if (file) bringIn(file);
    });
    $("#check-row").addEventListener("submit", (event) => {
      event.preventDefault();
      check(Number($("#check-number").value));
    });
    $("#order").addEventListener("submit", (event) => {
      event.preventDefault();
      $("#make").disabled = true;
      library.say("export", order());
    });
  });
})();
