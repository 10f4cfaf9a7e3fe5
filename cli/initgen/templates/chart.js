// Histograms, small and large.

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const LEVELS = LETTERS.length ** 2 - 1;
const LEVEL = new Map([...LETTERS].map((letter, index) => [letter, index]));

// Two letters are a step of the logarithm of 1 + count.
function unpack(text, top) {
  const scale = Math.log1p(top) / LEVELS;
  return Array.from({ length: text.length / 2 }, (_, i) =>
    Math.expm1((LEVEL.get(text[2 * i]) * LETTERS.length + LEVEL.get(text[2 * i + 1])) * scale));
}

// Where bars end: from the bottom of a box, along the tops, and back.
function outline(counts, x, y, bottom) {
  const steps = counts.map((value, i) => `L${x(i)} ${y(value)}L${x(i + 1)} ${y(value)}`);
  return `M${x(0)} ${bottom}${steps.join("")}L${x(counts.length)} ${bottom}Z`;
}

// A line through the middles of cells that hold something; at the ends of the support it drops. Where
// cells are about as wide as a narrow dtype's values are apart, neighbours differ, and it has steps.
function curve(counts, x, y, bottom) {
  const turns = counts.filter((value, i) => (value - counts[i - 1]) * (counts[i + 1] - value) < 0);
  const within = turns.length > 4 ? [0, 1] : [0.5];
  let path = "";
  for (let i = 0; i < counts.length; i++) {
    if (!(counts[i] > 0)) continue;
    if (!(counts[i - 1] > 0)) path += `M${x(i)} ${i ? bottom : y(counts[i])}L${x(i)} ${y(counts[i])}`;
    for (const part of within) path += `L${x(i + part)} ${y(counts[i])}`;
    if (!(counts[i + 1] > 0)) {
      path += `L${x(i + 1)} ${y(counts[i])}`;
      if (i + 1 < counts.length) path += `L${x(i + 1)} ${bottom}`;
    }
  }
  return path;
}

function sparkline({ histogram }) {
  if (!histogram) return "";
  const [width, height] = [96, 24];
  const counts = unpack(histogram.counts, histogram.top);
  const expected = histogram.expected && unpack(histogram.expected, histogram.top);
  // Rounded, as half the page's elements are in here.
  const x = (i) => Math.round((i / counts.length) * width * 10) / 10;
  const y = (value) => Math.round((1 - value / (histogram.top || 1)) * height * 10) / 10;
  const box = svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    svg("path", { class: "bars", d: outline(counts, x, y, height) }));
  if (expected) box.append(svg("path", { class: "expected", d: curve(expected, x, y, height) }));
  return box;
}

// Round numbers from low to high, about `wanted` of them.
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted;
  if (!(rough > 0 && Number.isFinite(rough))) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.7);
  const first = Math.ceil(low / step - 1e-9);
  const found = [];
  for (let i = first; i * step <= high + step * 1e-9 && found.length < 50; i++) {
    found.push(Number((i * step).toPrecision(12)));
  }
  return found.length ? found : [low];
}

function countTicks(top, logarithmic) {
  if (!logarithmic) return ticks(0, top, 4);
  const powers = Math.max(0, Math.floor(Math.log10(top || 1)));
  const every = Math.max(1, Math.ceil(powers / 5));
  const found = [0, 1];
  for (let power = every; power <= powers; power += every) found.push(10 ** power);
  // Between many powers there is no room for 0 and 1.
  return found.filter((value) => value <= top && (value !== 1 || powers < 2));
}

// A histogram with axes in a box `width` pixels wide; `logarithmic` counts or not.
// Its `show(cell)` marks a cell and returns what it holds.
function chart(tensor, width, logarithmic) {
  const { histogram, quantiles } = tensor;
  const { low, high, top } = histogram;
  // As many as tell the values of a narrow range apart.
  const range = Math.max(Math.abs(low), Math.abs(high)) / (high - low || 1);
  const digits = Math.min(15, 3 + Math.max(2, Math.ceil(Math.log10(range || 1))));
  const counts = unpack(histogram.counts, top);
  const expected = histogram.expected && unpack(histogram.expected, top);
  const margin = { left: 56, right: 14, top: 10, bottom: 62 };
  const height = 300;
  const [inside, bottom] = [width - margin.left - margin.right, height - margin.bottom];
  const level = logarithmic ? Math.log1p : (value) => value;
  const at = (value) => margin.left + ((value - low) / (high - low || 1)) * inside;
  const x = (i) => (margin.left + (i / counts.length) * inside).toFixed(2);
  const y = (value) =>
    (bottom - (level(value) / (level(top * 1.04) || 1)) * (bottom - margin.top)).toFixed(2);

  const cursor = svg("rect", { class: "cursor", y: margin.top, height: bottom - margin.top, width: 0 });
  const box = svg("svg", { class: "chart", width, height, viewBox: `0 0 ${width} ${height}` });
  for (const value of countTicks(top, logarithmic)) {
    box.append(svg("path", { class: "grid", d: `M${margin.left} ${y(value)}H${width - margin.right}` }),
      svg("text", { x: margin.left - 6, y: y(value), class: "left" }, brief.format(value)));
  }
  box.append(cursor, svg("path", { class: "bars", d: outline(counts, x, y, bottom) }));
  if (expected) box.append(svg("path", { class: "expected", d: curve(expected, x, y, bottom) }));
  box.append(svg("path", { class: "axis", d: `M${margin.left} ${bottom}H${width - margin.right}` }));
  for (const value of ticks(low, high, Math.max(3, Math.floor(inside / 90)))) {
    box.append(svg("path", { class: "axis", d: `M${at(value)} ${bottom}v4` }),
      svg("text", { x: at(value), y: bottom + 16, class: "below" }, number(value, digits)));
  }
  box.append(...spread(quantiles, low, high, at, bottom + 32),
    svg("text", { x: margin.left + inside / 2, y: height - 8, class: "below title" }, "value"),
    svg("text", { class: "title turned", transform: `translate(12 ${bottom / 2}) rotate(-90)` },
      logarithmic ? "values per cell (log)" : "values per cell"));

  return {
    box,
    cells: counts.length,
    cellAt: (pixel) => Math.floor(((pixel - margin.left) / inside) * counts.length),
    show(cell) {
      fill(cursor, { x: x(cell), width: inside / counts.length }, []);
      const edge = (i) => number(low + ((high - low) * i) / counts.length, digits);
      const promised = expected ? `, ${about(expected[cell])} expected` : "";
      return `${edge(cell)} to ${edge(cell + 1)}: ${about(counts[cell])} values${promised}`;
    },
  };
}

const about = (value) => count(Number(value.toPrecision(3)));

// The middle half as a box, the middle 90 % and 99.8 % as lines, the median as a notch.
function spread(quantiles, low, high, at, y) {
  if (!quantiles) return [];
  const where = new Map(data.quantiles.map((share, i) =>
    [share, at(Math.min(high, Math.max(low, quantiles[i]))).toFixed(2)]));
  const line = (name, from, to) =>
    svg("path", { class: name, d: `M${where.get(from)} ${y}H${where.get(to)}` });
  return [
    line("whisker", 0.001, 0.999), line("whisker wide", 0.05, 0.95), line("whisker half", 0.25, 0.75),
    svg("path", { class: "median", d: `M${where.get(0.5)} ${y - 6}v12` }),
  ];
}
