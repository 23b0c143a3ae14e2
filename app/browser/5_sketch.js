// A sheet to draw one's own shapes on: stamp a shape in a colour, or draw freely.
"use strict";
(() => {
  const { $ } = loop;
  const SHAPES = ["circle", "square", "triangle", "star", "diamond", "hexagon", "pen"];
  const COLOURS = { red: "#d43a2f", orange: "#ef8a1d", yellow: "#f2c81e", green: "#2f9e4f", blue: "#2f6fd0", purple: "#8446b8", pink: "#ec7fb0", brown: "#86562f", black: "#1d1d1f", white: "#ffffff" };
  const PAPER = "#f3f1ea";
  let marks = [];
  let stroke = null;
  let shape = "circle";
  let colour = "red";

  const corners = (sides, turned = 0) => Array.from({ length: sides }, (_, index) => {
    const angle = turned - Math.PI / 2 + (2 * Math.PI * index) / sides;
    return [Math.cos(angle), Math.sin(angle)];
  });
  const OUTLINES = {
    square: [[-0.8, -0.8], [0.8, -0.8], [0.8, 0.8], [-0.8, 0.8]],
    triangle: corners(3),
    diamond: [[0, -1], [0.7, 0], [0, 1], [-0.7, 0]],
    hexagon: corners(6),
    star: corners(10).map(([x, y], index) => (index % 2 ? [x * 0.42, y * 0.42] : [x, y])),
  };
  function outline(pen, name, x, y, radius) {
    pen.beginPath();
    if (name === "circle") pen.arc(x, y, radius * 0.92, 0, 2 * Math.PI);
    else for (const [across, down] of OUTLINES[name]) pen.lineTo(x + across * radius, y + down * radius);
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
    if (name === "circle") return '<svg viewBox="-1.2 -1.2 2.4 2.4"><circle r=".92"/></svg>';
    return `<svg viewBox="-1.2 -1.2 2.4 2.4"><polygon points="${OUTLINES[name].map((each) => each.join()).join(" ")}"/></svg>`;
  };
  function place(event) {
    const box = $("#canvas").getBoundingClientRect();
    return [((event.clientX - box.left) * 512) / box.width, ((event.clientY - box.top) * 512) / box.height];
  }

  loop.does("draw", () => { paint(); $("#sketch").showModal(); });
  loop.does("undo-stroke", () => { marks.pop(); paint(); });
  loop.does("clear-canvas", () => { marks = []; paint(); });
  loop.does("keep-sketch", () => {
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
      const [x, y] = place(event);
      const size = Number($("#size").value);
      if (shape === "pen") marks.push((stroke = { points: [[x, y]], colour, width: Math.max(4, size / 6) }));
      else marks.push({ shape, colour, x, y, radius: size });
      paint();
    });
    canvas.addEventListener("pointermove", (event) => { if (stroke) { stroke.points.push(place(event)); paint(); } });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (stroke = null));
  });
})();
