// The table: sorted, filtered.

// Rows beyond so many are added when asked for.
const BATCH = 2000;
const ORDER = { off: 0, unjudged: 1, ok: 2 };
const collator = new Intl.Collator("en", { numeric: true });

const figure = (key) => ({
  key, label: key, sort: (tensor) => tensor.statistics[key], show: (tensor) => number(tensor.statistics[key]),
});
const COLUMNS = [
  { key: "name", label: "name", sort: (t) => t.name, show: (t) => el("a", { href: link(t) }, named(t.short)) },
  { key: "dtype", label: "dtype", sort: (t) => t.dtype, show: (t) => t.dtype },
  { key: "shape", label: "shape", sort: (t) => t.shape, show: (t) => shapeText(t.shape) },
  { key: "parameters", label: "parameters", sort: (t) => t.parameters, show: (t) => count(t.parameters) },
  ...["mean", "stddev", "min", "max"].map(figure),
  {
    key: "zeros", label: "zeros", sort: (t) => (t.parameters ? t.statistics.zeros / t.parameters : null),
    show: (t) => share(t.statistics.zeros, t.parameters),
  },
  {
    key: "histogram", label: "histogram", hint: "Sorts by how far the shape is from the expected one",
    sort: (t) => t.judgement?.z_shape, show: sparkline,
  },
  { key: "verdict", label: "verdict", sort: (t) => ORDER[t.verdict] - 0.5 * t.notfinite, show: badge },
];

// What has no value comes last, whichever way the rest goes.
function compare(a, b, sign) {
  if (a == null || b == null) return (a == null) - (b == null);
  if (typeof a === "number") return sign * (a - b);
  if (typeof a === "string") return sign * (collator.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0));
  const axis = a.findIndex((size, i) => size !== b[i]);
  return sign * (a.length - b.length || (axis < 0 ? 0 : a[axis] - b[axis]));
}

// Part of a name, or with * and ? a pattern for all of it.
function matcher(text) {
  const wanted = text.trim().toLowerCase();
  if (!/[*?]/.test(wanted)) return (name) => name.toLowerCase().includes(wanted);
  const parts = wanted.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*+/g, ".*").replaceAll("?", ".");
  const pattern = new RegExp(`^${parts}$`, "su");
  return (name) => pattern.test(name.toLowerCase());
}

const table = {
  shown: tensors,
  limit: BATCH,
  column: null,
  sign: 1,
  rows: new Map(),

  row(tensor) {
    if (!this.rows.has(tensor)) {
      const cells = COLUMNS.map(({ key, label, show }) => {
        const content = show(tensor);
        return el(key === "name" ? "th" : "td", { class: key, "data-label": label, scope: key === "name" && "row" },
          ...(Array.isArray(content) ? content : [content]));
      });
      this.rows.set(tensor, el("tr", { class: tensor.verdict, "data-index": tensor.index }, ...cells));
    }
    return this.rows.get(tensor);
  },

  sort(column) {
    this.sign = this.column === column ? -this.sign : 1;
    this.column = column;
    this.update();
  },

  update() {
    const [text, verdict, dtype] = ["filter", "verdicts", "dtypes"].map((id) => byId(id).value);
    const matches = matcher(text);
    const { column, sign } = this;
    this.shown = tensors.filter((tensor) =>
      (!verdict || tensor.verdict === verdict || (verdict === "notfinite" && tensor.notfinite)) &&
      (!dtype || tensor.dtype === dtype) && matches(tensor.name));
    if (column) this.shown.sort((a, b) => compare(column.sort(a), column.sort(b), sign) || a.index - b.index);
    this.draw();
    byId("clear").hidden = !(text || verdict || dtype);
  },

  draw() {
    const rows = this.shown.slice(0, this.limit).map((tensor) => this.row(tensor));
    document.querySelector("#table tbody").replaceChildren(...rows);
    for (const head of document.querySelectorAll("#table thead th")) {
      const active = head.dataset.key === this.column?.key;
      head.setAttribute("aria-sort", active ? (this.sign > 0 ? "ascending" : "descending") : "none");
    }
    const all = count(tensors.length);
    byId("shown").value = this.shown.length === tensors.length ? `${all} shown` : `${count(this.shown.length)} of ${all} shown`;
    const left = this.shown.length - rows.length;
    byId("more").hidden = left <= 0;
    byId("more").firstChild.textContent = `Show ${count(Math.min(left, BATCH))} more`;
  },

  // Show only what has a verdict, and go there.
  only(verdict) {
    byId("filters").reset();
    byId("verdicts").value = verdict;
    this.limit = BATCH;
    this.update();
    byId("tensors").scrollIntoView();
    byId("verdicts").focus({ preventScroll: true });
  },
};

function startTable() {
  const options = (pairs) => pairs.map(([value, text]) => el("option", { value }, text));
  const counted = (key, text, found) => found.length > 0 && [key, `${text} (${count(found.length)})`];
  const verdicts = Object.entries(VERDICTS).map(([key, text]) =>
    counted(key, text, tensors.filter((tensor) => tensor.verdict === key)));
  const notfinite = counted("notfinite", "NaN or inf", tensors.filter((tensor) => tensor.notfinite));
  byId("verdicts").append(...options([["", "any verdict"], ...[...verdicts, notfinite].filter(Boolean)]));
  const dtypes = [...new Set(tensors.map((tensor) => tensor.dtype))].sort(collator.compare);
  byId("dtypes").append(...options([["", "any dtype"], ...dtypes.map((dtype) => [dtype, dtype])]));

  const heads = COLUMNS.map((column) => {
    const button = el("button", { type: "button", title: column.hint }, column.label, el("span", { class: "arrow", "aria-hidden": "true" }));
    button.addEventListener("click", () => table.sort(column));
    return el("th", { scope: "col", class: column.key, "data-key": column.key }, button);
  });
  document.querySelector("#table thead").append(el("tr", {}, ...heads));
  // Anywhere in a row opens it, unless text is being selected.
  document.querySelector("#table tbody").addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row && !event.target.closest("a") && !String(getSelection())) location.hash = link(tensors[row.dataset.index]);
  });
  const changed = () => { table.limit = BATCH; table.update(); };
  byId("filters").addEventListener("input", changed);
  byId("filters").addEventListener("reset", () => setTimeout(changed));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("more").firstChild.addEventListener("click", () => { table.limit += BATCH; table.draw(); });
  byId("tensors").hidden = !tensors.length;
  table.update();
}
