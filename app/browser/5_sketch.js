// A sheet to draw one's own shapes on: stamp a shape in a colour, or draw freely. By keyboard the arrows move a cursor,
// Enter stamps there, and with the pen sets it down or lifts it.
"use strict";
(() => {
  const { $ } = loop;
  const SHAPES = ["circle", "square", "triangle", "star", "cross", "ring", "pen"];
  // The paints of the drawn world, so that what is drawn here looks like what its model was shown.
  const COLOURS = { red: "#dc2626", orange: "#f58c14", yellow: "#f5d21e", green: "#239b41", blue: "#2855d7", purple: "#8737af", pink: "#f582b9", black: "#1c1c1e" };
  const PAPER = "#f7f4ec";
  let marks = [];
  let stroke = null;
  let cursor = null; // [x, y], while the keyboard draws
  let shape = "circle";
  let colour = "red";

  const star = Array.from({ length: 10 }, (_, index) => {
    const angle = (Math.PI * index) / 5 - Math.PI / 2;
    const reach = index % 2 ? 0.42 : 1;
    return [reach * Math.cos(angle), reach * Math.sin(angle)];
  });
  const OUTLINES = {
    square: [[-0.8, -0.8], [0.8, -0.8], [0.8, 0.8], [-0.8, 0.8]],
    triangle: [[0, -1], [0.95, 0.8], [-0.95, 0.8]],
    cross: [[-0.33, -1], [0.33, -1], [0.33, -0.33], [1, -0.33], [1, 0.33], [0.33, 0.33], [0.33, 1], [-0.33, 1], [-0.33, 0.33], [-1, 0.33], [-1, -0.33], [-0.33, -0.33]],
    star,
  };
  function outline(pen, name, x, y, radius) {
    pen.beginPath();
    if (name === "circle") pen.arc(x, y, radius, 0, 2 * Math.PI);
    else if (name === "ring") {
      pen.lineWidth = radius * 0.42;
      pen.arc(x, y, radius * 0.79, 0, 2 * Math.PI);
      pen.stroke();
      return;
    } else for (const [across, down] of OUTLINES[name]) pen.lineTo(x + across * radius, y + down * radius);
    pen.closePath();
    pen.fill();
  }
  function paint() {
    const pen = $("#canvas").getContext("2d");
    pen.fillStyle = PAPER;
    pen.fillRect(0, 0, 512, 512);
    for (const mark of marks) {
      pen.fillStyle = pen.strokeStyle = COLOURS[mark.colour];
      if (mark.points) {
        pen.lineWidth = mark.width;
        pen.lineCap = pen.lineJoin = "round";
        pen.beginPath();
        for (const [x, y] of mark.points) pen.lineTo(x, y);
        pen.lineTo(...mark.points.at(-1));
        pen.stroke();
      } else outline(pen, mark.shape, mark.x, mark.y, mark.radius);
    }
    if (cursor) showCursor(pen);
  }
  function showCursor(pen) {
    const [x, y] = cursor;
    for (const [width, ink] of [[5, "#ffffff"], [2, "#1c1c1e"]]) {
      pen.lineWidth = width;
      pen.strokeStyle = ink;
      pen.beginPath();
      for (const [across, down] of [[1, 0], [0, 1]]) {
        pen.moveTo(x - 14 * across, y - 14 * down);
        pen.lineTo(x + 14 * across, y + 14 * down);
      }
      pen.stroke();
    }
  }
  // What is put down at a place: a shape, or the beginning of a stroke.
  function put(x, y) {
    const size = Number($("#size").value);
    if (shape === "pen") marks.push((stroke = { points: [[x, y]], colour, width: Math.max(4, size / 6) }));
    else marks.push({ shape, colour, x, y, radius: size });
  }
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  function byKey(event) {
    const arrow = ARROWS[event.key];
    if (!arrow && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    cursor ||= [256, 256];
    if (arrow) {
      const step = event.shiftKey ? 4 : 24;
      cursor = cursor.map((at, axis) => Math.min(512, Math.max(0, at + step * arrow[axis])));
      if (stroke) stroke.points.push(cursor);
    } else if (stroke) stroke = null;
    else put(...cursor);
    paint();
  }
  function hideCursor() {
    if (cursor) stroke = null;
    cursor = null;
    paint();
  }
  function options(holder, names, chosen, dress, choose) {
    holder.replaceChildren(...names.map((name) => {
      const button = document.createElement("button");
      button.type = "button";
      button.title = name;
      button.setAttribute("role", "radio");
      button.setAttribute("aria-label", name);
      button.setAttribute("aria-checked", String(name === chosen));
      dress(button, name);
      button.addEventListener("click", () => {
        for (const each of holder.children) each.setAttribute("aria-checked", String(each === button));
        choose(name);
      });
      return button;
    }));
  }
  const svg = (name) => {
    if (name === "pen") return '<svg class="icon"><use href="#icon-draw"></use></svg>';
    if (name === "circle") return '<svg viewBox="-1.2 -1.2 2.4 2.4"><circle r="1"/></svg>';
    if (name === "ring") return '<svg viewBox="-1.2 -1.2 2.4 2.4"><circle r=".79" fill="none" stroke="currentColor" stroke-width=".42"/></svg>';
    return `<svg viewBox="-1.2 -1.2 2.4 2.4"><polygon points="${OUTLINES[name].map((each) => each.join()).join(" ")}"/></svg>`;
  };
  function place(event) {
    const box = $("#canvas").getBoundingClientRect();
    return [((event.clientX - box.left) * 512) / box.width, ((event.clientY - box.top) * 512) / box.height];
  }

  loop.does("draw", () => { paint(); $("#sketch").showModal(); });
  loop.does("undo-stroke", () => { marks.pop(); stroke = null; paint(); });
  loop.does("clear-canvas", () => { marks = []; stroke = null; paint(); });
  loop.does("keep-sketch", () => {
    hideCursor();
    $("#canvas").toBlob(async (blob) => {
      $("#sketch").close();
      await loop.addPicture(blob, "The drawing");
      $("#draft").focus();
    }, "image/png");
  });
  loop.start(() => {
    options($("#shapes"), SHAPES, shape, (button, name) => (button.innerHTML = svg(name)), (name) => (shape = name));
    options($("#colours"), Object.keys(COLOURS), colour, (button, name) => button.style.setProperty("--paint", COLOURS[name]), (name) => (colour = name));
    const canvas = $("#canvas");
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      cursor = null;
      put(...place(event));
      paint();
    });
    canvas.addEventListener("keydown", byKey);
    canvas.addEventListener("blur", hideCursor);
    canvas.addEventListener("pointermove", (event) => { if (stroke && !cursor) { stroke.points.push(place(event)); paint(); } });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (stroke = null));
  });
})();
