// A photo from the webcam. The camera runs only while its card is open.
"use strict";
(() => {
  const { $ } = loop;
  const REFUSALS = {
    NotFoundError: "No camera was found.",
    NotAllowedError: "The camera was not allowed; allow it in the browser and try again.",
    NotReadableError: "The camera is in use by another program; close that one and try again.",
  };
  let stream = null;

  function dark(words) {
    $("#lens-words").textContent = words;
    $('[data-do="shoot"]').disabled = true;
  }
  function off() {
    for (const track of stream?.getTracks() || []) track.stop();
    stream = null;
    $("#video").srcObject = null;
  }
  loop.does("camera", async () => {
    $("#camera").showModal();
    dark("Waiting for the camera");
    if (!navigator.mediaDevices) return dark("Browsers give a page the camera on https or localhost only.");
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
    } catch (error) {
      return dark(REFUSALS[error.name] || `The camera could not be started (${error.name}). Add a picture from a file instead.`);
    }
    if (!$("#camera").open) return off();
    $("#video").srcObject = stream;
    await $("#video").play().catch(() => {});
    $("#lens-words").textContent = "";
    $('[data-do="shoot"]').disabled = false;
  });
  loop.does("shoot", () => {
    const video = $("#video");
    const sheet = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
    sheet.getContext("2d").drawImage(video, 0, 0);
    $("#camera").close();
    sheet.toBlob((blob) => { loop.addPicture(blob, "The photo"); $("#draft").focus(); }, "image/jpeg", 0.92);
  });
  loop.start(() => $("#camera").addEventListener("close", off));
})();
