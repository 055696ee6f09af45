"use strict";

// Draws what lifNeuron computes from the form in neuron.html, again at every change.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("neuron");
  if (!form) return;

  const DURATION = 0.2;
  const STEPS = [0.5, 1, 2, 5, 7, 10, 20, 30, 50, 75, 100, 200]; // ms, of the slider dt
  const NEURON = { tauS: 0.13, tau: 0.26, theta: 0.1, maxSpikes: 30 };
  const POINTS = 1000;
  const ERRORS = [1e-16, 1e1]; // of theta: ends of the logarithmic axis

  const svg = form.querySelector("svg");
  const fields = form.elements;
  const sliders = [...form.querySelectorAll("input[name=time]")];

  function element(name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    svg.append(made);
    return made;
  }

  const ms = (seconds) => 1e3 * seconds;

  function number(value) {
    if (value === 0) return "0";
    return Math.abs(value) >= 1e-3 ? `${+value.toPrecision(3)}` : value.toExponential(0);
  }

  // What the controls say; also writes it beside them.
  function settings() {
    const dt = STEPS[fields.dt.value];
    const exact = fields.method.value === "exact";
    const interpolation = fields.interpolation.value;
    fields.order.disabled = fields.method.value !== "ps";
    fields.dt.disabled = exact && interpolation !== "none";
    const tell = (slider, text) => {
      slider.parentElement.querySelector(".value").textContent = text;
      slider.setAttribute("aria-valuetext", text);
    };
    tell(fields.order, fields.order.disabled ? "–" : fields.order.value);
    tell(fields.dt, fields.dt.disabled ? "–" : `${dt} ms`);
    tell(fields.weight, fields.weight.value);
    for (const slider of sliders) tell(slider, `${slider.value} ms`);
    const scheme = {
      method: fields.method.value, order: +fields.order.value, dt: 1e-3 * dt, interpolation,
    };
    const inputs = sliders.map((slider) => ({
      time: 1e-3 * slider.value, weight: +fields.weight.value,
    }));
    let name = fields.method.selectedOptions[0].textContent;
    if (scheme.method === "ps") name += ` of order ${scheme.order}`;
    return { scheme, inputs, name };
  }

  // A curve through (x, y), broken where y is null.
  function path(points, x, y, attributes) {
    let d = "";
    let pen = "M";
    for (const [time, value] of points) {
      if (value === null) {
        pen = "M";
      } else {
        d += `${pen}${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
        pen = "L";
      }
    }
    element("path", { d, ...attributes });
  }

  function draw() {
    const { scheme, inputs, name } = settings();
    const exact = lifNeuron.simulate(
      { method: "exact", interpolation: "dense" }, NEURON, inputs, DURATION);
    const method = lifNeuron.simulate(scheme, NEURON, inputs, DURATION);

    const times = Array.from({ length: POINTS + 1 }, (_, k) => (k / POINTS) * DURATION);
    // both sides of every jump, so that it is drawn as one
    for (const { spikes } of [exact, method]) {
      for (const t of spikes) times.push(t, t * (1 - 1e-12));
    }
    times.sort((s, t) => s - t);
    const theta = NEURON.theta;
    const [u, v] = [exact, method].map((one) =>
      lifNeuron.potential(one, times).map((value) => value / theta));

    const width = Math.max(280, svg.parentElement.clientWidth);
    const [left, right] = [60, 10];
    const [top, potential, gap, raster, error] = [8, 200, 26, 42, 130];
    const height = top + potential + gap + raster + gap + error + 40;
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("height", height);
    const x = (time) => left + ((width - left - right) * time) / DURATION;

    // on the grid, or with an unstable method, the potential may run off the scale
    const [lowest, highest] = [Math.min(...u, ...v), Math.max(...u, ...v)];
    const [low, high] = [Math.max(-2, Math.min(-0.05, lowest)), Math.min(4, Math.max(1.15, highest))];
    const clip = (value) => (low <= value && value <= high ? value : null);
    const y = (value) => top + (potential * (high - value)) / (high - low);
    const bottom = top + potential;
    if (!fields.dt.disabled) {
      for (let g = 1; g * scheme.dt < DURATION - 1e-12; g++) {
        const place = { x1: x(g * scheme.dt), x2: x(g * scheme.dt) };
        if (scheme.dt >= 2e-3) element("line", { ...place, y1: top, y2: bottom, class: "grid" });
      }
    }
    for (const level of [-2, -1, 0, 1, 2, 3, 4].filter((value) => low <= value && value <= high)) {
      element("text", { x: left - 6, y: y(level) + 4, class: "tick" }, level);
    }
    element("line", { x1: left, x2: width - right, y1: y(1), y2: y(1), class: "threshold" });
    element("text", { x: left + 4, y: y(1) - 4, class: "note" }, "threshold");
    for (const { time } of inputs) {
      const [a, b] = [x(time), y(0)];
      element("path", { d: `M${a} ${b - 9}l4.5 9h-9z`, class: "input" });
    }
    path(times.map((t, k) => [t, clip(u[k])]), x, y, { class: "curve exact" });
    path(times.map((t, k) => [t, clip(v[k])]), x, y, { class: "curve method" });
    if (lowest < low || highest > high) {
      const text = `goes on to ${number(highest > high ? highest : lowest)} θ`;
      element("text", { x: width - right, y: top + 8, class: "tick note" }, text);
    }
    const axis = (from, to) => element("path", {
      d: `M${left} ${from}V${to}H${width - right}`, class: "axis",
    });
    axis(top, bottom);
    const label = (text, from, to) => element("text", {
      transform: `translate(12 ${0.5 * (from + to)}) rotate(-90)`, class: "label",
    }, text);
    label("potential u / θ", top, bottom);

    const first = bottom + gap;
    label("spikes", first, first + raster);
    for (const [row, one] of [exact, method].entries()) {
      const middle = first + raster * (0.25 + 0.5 * row);
      for (const t of one.spikes) {
        element("line", {
          x1: x(t), x2: x(t), y1: middle - 9, y2: middle + 9,
          class: `spike ${row ? "method" : "exact"}`,
        });
      }
    }
    axis(first, first + raster);

    const second = first + raster + gap;
    const [least, greatest] = ERRORS.map(Math.log10);
    const z = (value) => second + (error * (greatest - Math.log10(value))) / (greatest - least);
    const visible = (value) => Math.min(ERRORS[1], Math.max(ERRORS[0], value));
    for (let exponent = -16; exponent <= 0; exponent += 4) {
      const level = z(10 ** exponent);
      element("line", { x1: left, x2: width - right, y1: level, y2: level, class: "grid" });
      const text = element("text", { x: left - 6, y: level + 4, class: "tick" }, "10");
      const power = document.createElementNS("http://www.w3.org/2000/svg", "tspan");
      power.setAttribute("dy", "-4");
      power.setAttribute("font-size", "75%");
      power.textContent = `${exponent}`.replace("-", "−");
      text.append(power);
    }
    path(times.map((t, k) => {
      const difference = Math.abs(u[k] - v[k]);
      return [t, difference > 0 ? visible(difference) : null];
    }), x, z, { class: "curve method" });
    axis(second, second + error);
    label("error / θ", second, second + error);
    for (let t = 0; t <= DURATION + 1e-9; t += 0.05) {
      for (const [edge, from] of [[bottom, 0], [first + raster, 0], [second + error, 1]]) {
        element("line", { x1: x(t), x2: x(t), y1: edge, y2: edge + 4, class: "axis" });
        if (from) {
          element("text", { x: x(t), y: edge + 17, class: "tick time" }, `${Math.round(ms(t))}`);
        }
      }
    }
    element("text", { x: x(0.5 * DURATION), y: height - 6, class: "tick time" }, "time (ms)");

    const mean = u.reduce((sum, value, k) => sum + Math.abs(value - v[k]), 0) / u.length;
    tell(exact.spikes, method.spikes, mean, name);
  }

  function tell(exact, method, mean, name) {
    const common = Math.min(exact.length, method.length);
    const late = Array.from({ length: common }, (_, k) => method[k] - exact[k]);
    const worst = Math.max(0, ...late.map(Math.abs));
    let text = `${name}: ${method.length} spikes, exact ${exact.length}.`;
    if (common) text += ` Largest error of a spike time ${number(ms(worst))} ms.`;
    text += ` Mean error of the potential ${number(mean)} θ.`;
    form.querySelector(".neuron-summary").textContent = text;
    for (const place of form.querySelectorAll("span.method, th.method")) place.textContent = name;
    const rows = Array.from({ length: Math.max(exact.length, method.length) }, (_, k) => {
      const row = document.createElement("tr");
      const cells = [
        k + 1,
        k < exact.length ? ms(exact[k]).toFixed(4) : "–",
        k < method.length ? ms(method[k]).toFixed(4) : "–",
        k < common ? number(ms(late[k])) : "–",
      ];
      for (const cell of cells) row.insertCell().textContent = cell;
      return row;
    });
    form.querySelector("tbody").replaceChildren(...rows);
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", draw);
  new ResizeObserver(draw).observe(svg.parentElement);
  draw();
});
