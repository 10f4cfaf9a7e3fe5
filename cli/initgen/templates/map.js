// The map: the standard deviation of each tensor, blocks across and kinds down.

const expectedStddev = (tensor) => tensor.expected?.stddev;
const MODES = {
  relative: "stddev ÷ expected",
  absolute: "stddev",
};
// Twice and half of what is expected are the ends of the scale. Its root makes a few percent visible.
const WIDEST = 2;
const KEY_RATIOS = [0.5, 0.9, 1, 1.1, 2];

const warp = (ratio) => Math.sign(Math.log(ratio)) *
  Math.min(1, Math.sqrt(Math.abs(Math.log(ratio)) / Math.log(WIDEST)));

function ratioOf(tensor) {
  const [measured, expected] = [tensor.statistics.stddev, expectedStddev(tensor)];
  if (measured == null || expected == null) return null;
  return measured === expected ? 1 : measured / expected;
}

const map = {
  mode: "relative",
  cells: [],
  range: [0, 0],

  start() {
    const { kinds, rest } = data.map;
    const spreads = tensors.map((tensor) => tensor.statistics.stddev).filter((value) => value > 0);
    this.range = spreads.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, 0]);
    const known = tensors.some((tensor) => expectedStddev(tensor) != null);
    this.mode = known ? "relative" : "absolute";
    if (known) this.offerModes();
    if (kinds.length) this.drawGrid();
    if (rest.length) this.drawRest();
    byId("map").hidden = !tensors.length;
    this.paint();
    this.listen();
  },

  offerModes() {
    for (const [mode, label] of Object.entries(MODES)) {
      const input = el("input", { type: "radio", name: "map-mode", value: mode, checked: mode === this.mode });
      input.addEventListener("change", () => { this.mode = mode; this.paint(); });
      byId("map-mode").append(el("label", {}, input, el("span", {}, label)));
    }
  },

  cell(index, label) {
    const tensor = tensors[index];
    const text = el("span", { class: "figure" });
    const node = el("button", { type: "button", class: `cell ${tensor.verdict}`, tabindex: -1, "data-index": index }, text);
    if (label) node.prepend(named(tensor.short));
    this.cells.push({ tensor, node, text });
    return node;
  },

  drawGrid() {
    const { blocks, kinds } = data.map;
    const grid = el("table", { class: blocks.length > 16 ? "grid dense" : "grid", role: "grid", "aria-label": "stddev by block and kind" });
    const every = Math.ceil(blocks.length / 32);
    const heads = blocks.map((block, i) => el("th", { scope: "col" }, el("span", {}, i % every ? "" : String(block))));
    grid.append(el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "block"), ...heads)));
    grid.append(el("tbody", {}, ...kinds.map(({ kind, cells }) =>
      el("tr", {}, el("th", { scope: "row", title: kind }, named(shortened(kind))),
        ...cells.map((index) => (index == null ? el("td") : el("td", {}, this.cell(index))))))));
    byId("map-grid").append(grid);
  },

  drawRest() {
    const { kinds, rest } = data.map;
    const many = rest.length > 60;
    byId("map-rest").append(el("h3", {}, kinds.length ? "In no block" : "Every tensor"),
      el("div", { class: many ? "rest dense" : "rest", role: "group", "aria-label": "stddev of other tensors" },
        ...rest.map((index) => this.cell(index, !many))));
  },

  paint() {
    for (const { tensor, node, text } of this.cells) {
      const { stddev } = tensor.statistics;
      const ratio = this.mode === "relative" ? ratioOf(tensor) : null;
      const place = stddev == null ? null : ratio == null ? this.place(stddev) : warp(ratio);
      node.classList.toggle("none", place == null);
      node.classList.toggle("still", stddev === 0);
      node.dataset.scale = ratio == null ? "spread" : place < 0 ? "less" : "more";
      node.style.setProperty("--part", `${(100 * Math.abs(place ?? 0)).toFixed(1)}%`);
      text.textContent = stddev == null ? NONE : number(stddev, 3);
      node.setAttribute("aria-label", this.words(tensor));
    }
    for (const first of this.rovers()) first.tabIndex = 0;
    byId("map-key").replaceChildren(...this.key());
  },

  // How far up the logarithm of all tensors' standard deviations: 0 is the least, or 0 itself.
  place(stddev) {
    const [low, high] = this.range;
    if (!(stddev > 0)) return 0;
    return high > low ? 0.15 + (0.85 * Math.log(stddev / low)) / Math.log(high / low) : 1;
  },

  words(tensor) {
    const [stddev, expected] = [tensor.statistics.stddev, expectedStddev(tensor)];
    const against = expected == null ? "" : `, expected ${number(expected)}`;
    return `${tensor.short}: stddev ${number(stddev)}${against}, ${VERDICTS[tensor.verdict]}`;
  },

  key() {
    const found = [];
    const bar = (name, labels) => el("span", { class: "bar" }, el("span", { class: `ramp ${name}` }),
      ...labels.map(([text, part]) => {
        const label = el("span", { class: "mark" }, text);
        label.style.setProperty("--at", `${(100 * part).toFixed(1)}%`);
        return label;
      }));
    const scales = new Set(this.cells.map(({ node }) => node.dataset.scale));
    if (scales.has("less") || scales.has("more")) {
      found.push(el("span", {}, "stddev ÷ expected"),
        bar("ratio", KEY_RATIOS.map((ratio) => [`${ratio}×`, (1 + warp(ratio)) / 2])));
    }
    const [low, high] = this.range;
    if (scales.has("spread") && high > 0) {
      found.push(el("span", {}, this.mode === "relative" ? "where none is known, stddev" : "stddev, by its logarithm"),
        bar("spread", low < high ? [[number(low, 2), 0.15], [number(high, 2), 1]] : [[number(high, 2), 1]]));
    }
    if (this.cells.some(({ tensor }) => tensor.verdict === "off")) {
      found.push(el("span", { class: "sample off", "aria-hidden": "true" }), el("span", {}, "off"));
    }
    return found;
  },

  // One cell of each of the two parts can be reached by Tab; arrows move on from there.
  rovers() {
    return ["#map-grid .cell", "#map-rest .cell"].map((place) => document.querySelector(place)).filter(Boolean);
  },

  listen() {
    const tip = byId("tip");
    const cellOf = (event) => event.target.closest?.(".cell");
    const hide = () => { tip.hidden = true; };
    const show = (event) => {
      const node = cellOf(event);
      if (!node) return hide();
      const tensor = tensors[node.dataset.index];
      const ratio = ratioOf(tensor);
      tip.replaceChildren(named(tensor.short), el("span", {}, `stddev ${number(tensor.statistics.stddev)}`,
        expectedStddev(tensor) == null ? "" : `, expected ${number(expectedStddev(tensor))}`,
        ratio == null || !Number.isFinite(ratio) ? "" : ` (${number(ratio, 3)}×)`), el("span", {}, ...badge(tensor)));
      tip.hidden = false;
      const [cell, own] = [node.getBoundingClientRect(), tip.getBoundingClientRect()];
      const left = Math.min(Math.max(8, cell.left + cell.width / 2 - own.width / 2), innerWidth - own.width - 8);
      const above = cell.top - own.height - 8;
      tip.style.setProperty("left", `${left}px`);
      tip.style.setProperty("top", `${above > 8 ? above : cell.bottom + 8}px`);
    };
    const section = byId("map");
    section.addEventListener("mouseover", show);
    section.addEventListener("focusin", show);
    for (const gone of ["mouseleave", "focusout"]) section.addEventListener(gone, hide);
    addEventListener("scroll", hide, { passive: true, capture: true });
    section.addEventListener("click", (event) => {
      const node = cellOf(event);
      if (node) { hide(); location.hash = link(tensors[node.dataset.index]); }
    });
    section.addEventListener("keydown", (event) => {
      if (event.key === "Escape") hide();
      const node = cellOf(event);
      const next = node && neighbour(node, event.key);
      if (!next) return;
      event.preventDefault();
      node.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  },
};

// The cell that a key leads to: along the row or the list, or to the same place of another row.
function neighbour(node, key) {
  const row = node.closest("tr, .rest");
  const inRow = [...row.querySelectorAll(".cell")];
  const along = { ArrowRight: 1, ArrowLeft: -1 }[key];
  if (along) return inRow[inRow.indexOf(node) + along];
  if (key === "Home") return inRow[0];
  if (key === "End") return inRow.at(-1);
  const down = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[key];
  if (!down || row.matches(".rest")) return null;
  const column = node.closest("td").cellIndex;
  let other = row[down];
  while (other && !other.cells[column].querySelector(".cell")) other = other[down];
  return other?.cells[column].querySelector(".cell");
}
