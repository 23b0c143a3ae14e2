// Curves as SVG, drawn here: axes with round numbers, the value under the pointer or, with the arrow keys, under the mark.
"use strict";
(() => {
  const { $, $$ } = loop;
  const HEIGHT = 190;
  const MARGIN = { top: 10, right: 12, bottom: 26, left: 52 };
  const SMOOTH_FROM = 40; // points, from which on a noisy curve gets a smooth one in front
  const SMOOTHED = 0.05; // of the points, to either side
  const element = (name, attributes = {}, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text) made.textContent = text;
    return made;
  };
  const short = (value) => {
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
    if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
    if (size < 1e-3) return value.toExponential(1).replace(".0e", "e");
    return String(+value.toPrecision(3));
  };
  // About `most` round numbers between two.
  function ticks(low, high, most) {
    const rough = (high - low) / most;
    if (!(rough > 0)) return [low];
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at += 1) found.push(at * step + 0); // + 0: not -0
    return found;
  }
  // Means of as many points before as after: a mean of those before alone lags behind, and shows a loss that falls as too
  // high by half.
  function smooth(points) {
    const most = Math.ceil(SMOOTHED * points.length);
    return points.map(([x], at) => {
      const reach = Math.min(most, at, points.length - 1 - at);
      const near = points.slice(at - reach, at + reach + 1);
      return [x, near.reduce((sum, [, y]) => sum + y, 0) / near.length];
    });
  }
  // One point for each place that can be told apart: the mean of those that fall there.
  function thinned(points, places) {
    if (points.length <= 2 * places) return points;
    const size = Math.ceil(points.length / places);
    const kept = [];
    for (let start = 0; start < points.length; start += size) {
      const some = points.slice(start, start + size);
      kept.push([some.at(-1)[0], some.reduce((sum, [, y]) => sum + y, 0) / some.length]);
    }
    return kept;
  }

  // `series`: [{name, words, kind, noisy}]; the newest numbers come with `draw([{step, NAME: value}])`.
  loop.plot = (title, series, { format = short, zero = false } = {}) => {
    const figure = document.createElement("figure");
    figure.className = "plot";
    const legend = series.map((each) => `<span data-kind="${each.kind}" data-of="${each.name}">${each.words}</span>`).join("");
    figure.innerHTML = `<figcaption><b>${title}</b><span class="legend">${legend}</span><output></output></figcaption>`;
    const svg = element("svg", { tabindex: "0", role: "img" });
    figure.append(svg);
    let points = [];
    let scale = null;
    let marked = null; // the step that is pointed at

    function extent() {
      const values = points.flatMap((point) => series.map((each) => point[each.name]).filter((value) => value !== undefined));
      let [low, high] = [Math.min(...values), Math.max(...values)];
      if (zero) low = 0;
      const room = (high - low || Math.abs(high) || 1) * 0.06;
      return [zero ? 0 : low - room, high + room];
    }
    function lines(name) {
      return points.filter((point) => point[name] !== undefined).map((point) => [point.step, point[name]]);
    }
    function path(curve) {
      return curve.map(([x, y], at) => `${at ? "L" : "M"}${scale.x(x).toFixed(1)} ${scale.y(y).toFixed(1)}`).join("");
    }
    function redraw() {
      const width = Math.round(figure.clientWidth) || 400;
      svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
      svg.replaceChildren();
      const shown = series.filter((each) => points.some((point) => point[each.name] !== undefined));
      figure.hidden = !shown.length;
      if (!shown.length) return;
      for (const each of $$(".legend span", figure)) each.hidden = shown.length < 2 || !shown.some(({ name }) => name === each.dataset.of);
      const last = points.at(-1).step;
      const first = Math.min(points[0].step, last - 1);
      const [low, high] = extent();
      const inner = { width: width - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
      scale = {
        x: (step) => MARGIN.left + (inner.width * (step - first)) / (last - first || 1),
        y: (value) => MARGIN.top + inner.height * (1 - (value - low) / (high - low)),
      };
      const axes = element("g", { class: "axes" });
      for (const value of ticks(low, high, 4)) {
        const y = scale.y(value).toFixed(1);
        axes.append(element("path", { d: `M${MARGIN.left} ${y}H${width - MARGIN.right}` }));
        axes.append(element("text", { x: MARGIN.left - 8, y: Number(y) + 4, "text-anchor": "end" }, format(value)));
      }
      for (const step of ticks(first, last, Math.max(3, Math.floor(inner.width / 90))).filter(Number.isInteger)) {
        axes.append(element("text", { x: scale.x(step), y: HEIGHT - 8, "text-anchor": "middle" }, step.toLocaleString("en")));
      }
      svg.append(axes);
      for (const each of shown) {
        const curve = thinned(lines(each.name), inner.width / 2);
        const group = element("g", { class: "curve", "data-kind": each.kind });
        const isNoisy = each.noisy && curve.length >= SMOOTH_FROM;
        group.append(element("path", { d: path(curve), class: isNoisy ? "noise" : "" }));
        if (isNoisy) group.append(element("path", { d: path(smooth(curve)) }));
        if (curve.length === 1 || each.dots) for (const [x, y] of curve) group.append(element("circle", { cx: scale.x(x), cy: scale.y(y), r: 3 }));
        svg.append(group);
      }
      svg.append(element("g", { class: "mark" }));
      svg.setAttribute("aria-label", `${title} over ${last.toLocaleString("en")} steps`);
      mark();
    }
    function mark() {
      const place = $(".mark", svg);
      const at = points.find((point) => point.step === marked);
      const told = at || points.at(-1);
      const values = told ? series.filter((each) => told[each.name] !== undefined) : [];
      const words = values.map((each) => (series.length > 1 ? `${each.words} ${format(told[each.name])}` : format(told[each.name])));
      const said = told ? `step ${told.step.toLocaleString("en")}: ${words.join(", ")}` : "";
      if ($("output", figure).textContent !== said) $("output", figure).textContent = said;
      place.replaceChildren();
      if (!at) return;
      const x = scale.x(at.step).toFixed(1);
      place.append(element("path", { d: `M${x} ${MARGIN.top}V${HEIGHT - MARGIN.bottom}` }));
      for (const each of values) place.append(element("circle", { cx: x, cy: scale.y(at[each.name]), r: 4, "data-kind": each.kind }));
    }
    function point(step) {
      marked = step;
      if (scale && points.length) mark();
    }
    svg.addEventListener("pointermove", (event) => {
      if (!points.length || !scale) return;
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      const near = points.reduce((best, each) => (Math.abs(scale.x(each.step) - x) < Math.abs(scale.x(best.step) - x) ? each : best));
      point(near.step);
    });
    svg.addEventListener("pointerleave", () => point(null));
    svg.addEventListener("blur", () => point(null));
    svg.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by || !points.length) return;
      event.preventDefault();
      const at = points.findIndex((each) => each.step === marked);
      const next = at < 0 ? points.length - 1 : Math.min(Math.max(at + by, 0), points.length - 1);
      point(points[next].step);
    });
    new ResizeObserver(() => points.length && redraw()).observe(figure);
    return { figure, draw: (now) => { points = now; redraw(); } };
  };
})();
