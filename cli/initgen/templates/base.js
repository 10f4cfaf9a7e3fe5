// What the rest is made of: the data, elements, numbers as text.
// Texts only ever become text nodes and attributes, never markup.

const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const NONE = "–";

const byId = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

const el = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

// A name may be of any script and hold line breaks: it is set apart from what is around it.
const named = (...parts) => el("bdi", { class: "mono" }, ...parts);

const tensors = data.tensors.map((tensor, index) => {
  const { nan, infinite } = tensor.statistics;
  const verdict = tensor.judgement ? tensor.judgement.verdict : "unjudged";
  return { ...tensor, index, verdict, notfinite: nan + infinite > 0, short: shortened(tensor.name) };
});
const tensorNamed = new Map(tensors.map((tensor) => [tensor.name, tensor]));
const VERDICTS = { ok: "ok", off: "off", unjudged: "not judged" };

// The largest names that exist have some 200 characters; tables and tooltips show no more of any.
function shortened(name) {
  return name.length > 240 ? `${name.slice(0, 160)} … ${name.slice(-60)}` : name;
}

const link = (tensor) => `#tensor=${encodeURIComponent(tensor.name)}`;

// May be broken after a dot or slash, too.
const breakable = (name) => named(...name.split(/(?<=[./])/).flatMap((part) => [part, el("wbr")]));

// Numbers -----------------------------------------------------------------------------------------

function number(value, digits = 4) {
  if (value == null) return NONE;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(digits - 1).replace(/\.?0*e\+?/, "e");
  if (Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(digits)));
}

const count = (value) => (value == null ? NONE : value.toLocaleString("en-GB"));

function share(part, whole) {
  if (!part || !whole) return "0";
  if (part === whole) return "all";
  const percent = (100 * part) / whole;
  return percent < 0.01 ? "< 0.01 %" : `${Math.min(99.99, Number(percent.toPrecision(3)))} %`;
}

function bytes(value) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit ? value.toFixed(1) : count(value)} ${units[unit]}`;
}

// As 1.2k, 3M: for axes.
const brief = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

const shapeText = (shape) => (shape.length ? shape.join(" × ") : "scalar");

// The verdict by a sign, a word and a colour.
function badge(tensor) {
  const signs = { ok: "✓", off: "✕", unjudged: "○" };
  const badges = [
    el("span", { class: `badge ${tensor.verdict}` },
      el("span", { "aria-hidden": "true" }, signs[tensor.verdict]), ` ${VERDICTS[tensor.verdict]}`),
  ];
  for (const [key, word] of [["nan", "NaN"], ["infinite", "inf"]]) {
    if (tensor.statistics[key]) badges.push(" ", el("span", { class: "badge off" }, word));
  }
  return badges;
}
