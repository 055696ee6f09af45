"use strict";

// One leaky integrate-and-fire neuron, with the formulas and the rules of lifnum in double
// precision: `simulate` gives its spikes, `potential` its membrane potential. Times in seconds.
const lifNeuron = (() => {
  const SERIES_ORDER = { euler: 1, rk2: 2, rk4: 4 };
  // a time this little after a grid point counts as on it, in steps: it may be a rounded one
  const [MOST_TOLERANCE, TOLERANCE] = [1e-3, 2 ** -23];

  const isSeries = (scheme) => scheme.method === "ps" || scheme.method in SERIES_ORDER;
  const orderOf = (scheme) => SERIES_ORDER[scheme.method] ?? scheme.order;

  // Coefficients of u in powers of x = s / unit, unit = min(tau_s, tau), from the state (I0, u0).
  function series(scheme, { tauS, tau }, i0, u0) {
    const unit = Math.min(tauS, tau);
    let i = i0 * unit;
    let u = u0;
    const coefficients = [u];
    for (let p = 0; p < orderOf(scheme); p++) {
      [i, u] = [(-i * (unit / tauS)) / (p + 1), (i - u * (unit / tau)) / (p + 1)];
      coefficients.push(u);
    }
    return coefficients;
  }

  // [a, c, b, a', c', b']: I(h) = a I0, u(h) = c I0 + b u0, and their derivatives by h.
  function propagator(scheme, { tauS, tau }, h) {
    const decay = (rate) => [Math.exp(-h / rate), -Math.exp(-h / rate) / rate];
    if (isSeries(scheme)) {
      const unit = Math.min(tauS, tau);
      const x = h / unit;
      const sums = [];
      for (const [current, i0, u0] of [[true, 1, 0], [false, 1, 0], [false, 0, 1]]) {
        let i = i0 * unit;
        let u = u0;
        let [value, slope, power] = [current ? i : u, 0, 1];
        for (let p = 0; p < orderOf(scheme); p++) {
          [i, u] = [(-i * (unit / tauS)) / (p + 1), (i - u * (unit / tau)) / (p + 1)];
          slope += (p + 1) * (current ? i : u) * power;
          power *= x;
          value += (current ? i : u) * power;
        }
        sums.push([value, slope / unit]);
      }
      const [[a, da], [c, dc], [b, db]] = sums;
      return [a / unit, c, b, da / unit, dc, db];
    }
    if (scheme.method === "exact") {
      const [slow, fast] = [Math.max(tau, tauS), Math.min(tau, tauS)];
      const difference = 1 / fast - 1 / slow;
      const lost = difference > 0 ? -Math.expm1(-h * difference) / difference : h;
      const c = Math.exp(-h / slow) * lost;
      const [[a, da], [b, db]] = [decay(tauS), decay(tau)];
      return [a, c, b, da, tauS < tau ? a - c / tau : b - c / tauS, db];
    }
    if (scheme.method === "backward-euler") {
      const [a, b] = [1 / (1 + h / tauS), 1 / (1 + h / tau)];
      const dc = (1 - (h * h) / (tau * tauS)) * (a * b) ** 2;
      return [a, h * a * b, b, (-a * a) / tauS, dc, (-b * b) / tau];
    }
    if (scheme.method === "trapezoidal") {
      const [x, y] = [(0.5 * h) / tauS, (0.5 * h) / tau];
      const both = (1 + x) * (1 + y);
      return [
        (1 - x) / (1 + x), h / both, (1 - y) / (1 + y),
        -1 / (tauS * (1 + x) ** 2), (1 - x * y) / both ** 2, -1 / (tau * (1 + y) ** 2),
      ];
    }
    if (scheme.method === "exponential-euler") {
      const [[a, da], [b, db]] = [decay(tauS), decay(tau)];
      return [a, -tau * Math.expm1(-h / tau), b, da, b, db];
    }
    throw new Error(`unknown method ${scheme.method}`);
  }

  // [I, u, du/ds] a time s after the state (I0, u0), by the scheme's dense output.
  function flow(scheme, neuron, i0, u0, s) {
    const [a, c, b, , dc, db] = propagator(scheme, neuron, s);
    return [a * i0, c * i0 + b * u0, dc * i0 + db * u0];
  }

  // Where `reached`, false at low and true at high, turns true.
  function bisect(reached, low, high) {
    for (;;) {
      const middle = 0.5 * (low + high);
      if (!(low < middle && middle < high)) return high;
      if (reached(middle)) high = middle;
      else low = middle;
    }
  }

  // First root in (0, 1] of a polynomial given by its Bernstein coefficients, the first below
  // zero; none (null) where all are, for the polynomial lies in their hull.
  function firstRoot(b, low = 0, high = 1) {
    if (b.every((value) => value < 0)) return null;
    if (high - low < 2 ** -50) return high;
    const [left, right, rest] = [[], [], b.slice()];
    while (rest.length) {
      left.push(rest[0]);
      right.unshift(rest[rest.length - 1]);
      for (let k = 0; k + 1 < rest.length; k++) rest[k] = 0.5 * (rest[k] + rest[k + 1]);
      rest.pop();
    }
    const middle = 0.5 * (low + high);
    return firstRoot(left, low, middle) ?? firstRoot(right, middle, high);
  }

  function firstCrossingOfSeries(scheme, neuron, i0, u0, h) {
    const scaled = series(scheme, neuron, i0, u0);
    scaled[0] -= neuron.theta;
    const [n, x] = [scaled.length - 1, h / Math.min(neuron.tauS, neuron.tau)];
    const bernstein = Array(n + 1).fill(0);
    for (let k = 0; k <= n; k++) {
      let ratio = 1; // C(i, k) / C(n, k)
      for (let i = n; i >= k; i--) {
        bernstein[i] += ratio * scaled[k] * x ** k;
        ratio *= (i - k) / i;
      }
    }
    const root = firstRoot(bernstein);
    if (root === null) return null;
    let s = root * h;
    for (let k = 0; k < 2; k++) {
      const [, u, slope] = flow(scheme, neuron, i0, u0, s);
      const better = s + (neuron.theta - u) / slope;
      if (slope > 0 && Math.abs(better - s) <= 1e-6 * s) s = better;
    }
    return s;
  }

  // First s in (0, h] after which u reaches theta, or null. A peak inside counts with dense output.
  function firstCrossing(scheme, neuron, i0, u0, h) {
    const theta = neuron.theta;
    const at = (s) => flow(scheme, neuron, i0, u0, s);
    const [, u1, slope1] = at(h);
    if (scheme.interpolation === "linear") {
      return u1 >= theta ? Math.min(h, (h * (theta - u0)) / (u1 - u0)) : null;
    }
    if (!(h > 0)) return null;
    let s = null;
    if (isSeries(scheme)) {
      s = firstCrossingOfSeries(scheme, neuron, i0, u0, h);
    } else {
      let low = 0;
      const ends = [h];
      if (at(0)[2] * slope1 < 0) {
        ends.unshift(bisect((t) => at(t)[2] * slope1 > 0, 0, h)); // the one peak, or trough
      }
      for (const end of ends) {
        if (at(end)[1] >= theta) {
          s = bisect((t) => at(t)[1] >= theta, low, end);
          break;
        }
        low = end;
      }
    }
    if (s === null) return u1 >= theta ? h : null;
    return Math.min(s, h);
  }

  // Number of the first grid point at or after a time.
  function gridPoint(time, dt) {
    const steps = time / dt;
    return Math.ceil(steps - Math.min(MOST_TOLERANCE, TOLERANCE * (steps + 8)));
  }

  // What happens, in order: at equal times inputs, then the grid point; with interpolation "none"
  // an input acts at the first grid point at or after it, behind that point's spikes.
  function events(scheme, inputs, duration) {
    const found = [];
    const clocked = scheme.interpolation === "none";
    const n = scheme.dt ? gridPoint(duration, Math.min(scheme.dt, duration)) : 1;
    for (const { time, weight } of inputs) {
      if (!clocked && time < duration) found.push({ time, kind: 0, weight });
      if (clocked && gridPoint(time, scheme.dt) < n) {
        found.push({ time: gridPoint(time, scheme.dt) * scheme.dt, kind: 2, weight });
      }
    }
    for (let g = scheme.dt ? 0 : 1; g <= n; g++) {
      found.push({ time: g < n ? g * scheme.dt : duration, kind: 1, weight: 0 });
    }
    return found.sort((p, q) => p.time - q.time || p.kind - q.kind);
  }

  // {spikes: times, pieces: [{start, current, potential, rest, end}]} of a neuron at rest.
  // scheme: {method, order, dt, interpolation}; neuron: {tauS, tau, theta, maxSpikes};
  // inputs: [{time, weight}]. Each piece of a step begins at a state and lasts at most `rest`.
  function simulate(scheme, neuron, inputs, duration) {
    if (scheme.method === "exact" && scheme.interpolation !== "none") {
      scheme = { ...scheme, dt: null };
    }
    const most = neuron.maxSpikes ?? 30;
    const [spikes, pieces] = [[], []];
    let [start, current, potential] = [0, 0, 0];
    for (const { time, weight } of events(scheme, inputs, duration)) {
      let elapsed = 0;
      const h = time - start;
      const begin = () => {
        const rest = h - elapsed;
        const end = flow(scheme, neuron, current, potential, rest)[1];
        if (h > 0) pieces.push({ start: start + elapsed, current, potential, rest, end });
      };
      begin();
      while (scheme.interpolation !== "none" && spikes.length < most) {
        const s = firstCrossing(scheme, neuron, current, potential, h - elapsed);
        if (s === null) break;
        elapsed += s;
        current = flow(scheme, neuron, current, potential, s)[0];
        potential = 0;
        spikes.push(start + elapsed);
        begin();
      }
      [current, potential] = flow(scheme, neuron, current, potential, h - elapsed);
      const reached = potential >= neuron.theta && spikes.length < most;
      if (scheme.interpolation === "none" && h > 0 && reached) {
        spikes.push(time);
        potential -= neuron.theta;
      }
      start = time;
      current += weight;
    }
    pieces.push({ start, current, potential, rest: 0, end: potential });
    return { scheme, neuron, spikes, pieces };
  }

  // Membrane potential of a simulation at rising times, right-continuous; on chords for "linear".
  function potential({ scheme, neuron, pieces }, times) {
    let k = 0;
    return times.map((time) => {
      while (k + 1 < pieces.length && pieces[k + 1].start <= time) k++;
      const { start, current, potential: u0, rest, end } = pieces[k];
      if (time < start) return 0;
      if (scheme.interpolation === "linear") {
        return rest > 0 ? u0 + ((end - u0) * (time - start)) / rest : u0;
      }
      return flow(scheme, neuron, current, u0, time - start)[1];
    });
  }

  return { simulate, potential };
})();
