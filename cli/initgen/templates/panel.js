// One tensor in detail, and what starts the page.

const panel = {
  node: byId("panel"),
  tensor: null,
  logarithmic: false,

  // The address says what is open, so that it can be sent to others and gone back from.
  follow() {
    let wanted;
    try {
      wanted = decodeURIComponent(location.hash.match(/^#tensor=(.*)$/s)?.[1] ?? "");
    } catch {
      wanted = "";
    }
    const tensor = tensorNamed.get(wanted);
    if (tensor) this.open(tensor);
    else if (this.node.open) this.node.close();
  },

  open(tensor) {
    this.tensor = tensor;
    this.node.replaceChildren(this.head(), el("div", { class: "body" }, ...this.body()));
    if (!this.node.open) this.node.showModal();
    this.node.scrollTop = 0;
    this.draw();
  },

  closed() {
    // Not to an empty hash, which would scroll to the top.
    if (location.hash.startsWith("#tensor=")) history.replaceState(null, "", "#tensors");
    const row = table.rows.get(this.tensor);
    if (row?.isConnected) row.querySelector("a").focus();
  },

  head() {
    const button = (text, label, act) => {
      const node = el("button", { type: "button", class: "quiet", "aria-label": label, title: label }, text);
      node.addEventListener("click", act);
      return node;
    };
    const close = button("✕", "Close", () => this.node.close());
    close.autofocus = true;
    const place = table.shown.indexOf(this.tensor);
    const go = (step) => {
      const next = table.shown[place + step];
      if (next) location.replace(link(next));
    };
    const [before, after] = [button("‹", "Previous tensor", () => go(-1)), button("›", "Next tensor", () => go(1))];
    before.disabled = place <= 0;
    after.disabled = place < 0 || place + 1 >= table.shown.length;
    return el("header", {}, el("h2", { id: "panel-title" }, breakable(this.tensor.name)), el("nav", {}, before, after, close));
  },

  body() {
    const { tensor } = this;
    const problems = tensor.judgement?.problems ?? [];
    const parts = [
      el("p", { class: "verdict" }, ...badge(tensor)),
      problems.length ? el("ul", { class: "problems" }, ...problems.map((problem) => el("li", {}, problem))) : "",
      tensor.histogram ? this.figure() : el("p", { class: "note" }, "There are no finite values to draw."),
      this.comparison(),
      el("h3", {}, "Figures"), definitions(figures(tensor)),
    ];
    if (tensor.quantiles) {
      parts.push(el("h3", {}, "Quantiles"),
        definitions(tensor.quantiles.map((value, i) => [`${number(100 * data.quantiles[i], 6)} %`, number(value, 6)])));
    }
    if (tensor.spectrum) {
      const { norm, least, condition, rank } = tensor.spectrum;
      parts.push(el("h3", {}, "Singular values"), definitions([
        ["largest", number(norm, 6)], ["smallest", number(least, 6)], ["condition", number(condition, 6)], ["rank", count(rank)],
      ]));
    }
    return parts;
  },

  figure() {
    const { histogram } = this.tensor;
    const switcher = el("label", { class: "check" }, el("input", { type: "checkbox", checked: this.logarithmic }), " logarithmic counts");
    switcher.firstChild.addEventListener("change", (event) => { this.logarithmic = event.target.checked; this.draw(); });
    const outside = [["below", histogram.below], ["above", histogram.above]].filter(([, found]) => found > 0)
      .map(([where, found]) => `${about(found)} ${where}`);
    return el("figure", {},
      el("div", { class: "holder", tabindex: 0, role: "group", "aria-label": "Histogram; arrow keys read its cells" }),
      el("figcaption", {},
        el("span", { class: "legend bars" }, "measured"),
        histogram.expected ? el("span", { class: "legend expected" }, "expected") : "",
        outside.length ? el("span", {}, `${outside.join(", ")} this range`) : "",
        switcher, el("output", { class: "readout" }, "Point at a cell, or use the arrow keys, to read it.")));
  },

  draw() {
    const holder = this.node.querySelector(".holder");
    if (!holder) return;
    const drawn = chart(this.tensor, Math.max(240, holder.clientWidth), this.logarithmic);
    holder.replaceChildren(drawn.box);
    let cell = -1;
    const show = (wanted) => {
      cell = Math.min(drawn.cells - 1, Math.max(0, wanted));
      this.node.querySelector(".readout").value = drawn.show(cell);
    };
    holder.onpointermove = (event) => show(drawn.cellAt(event.clientX - holder.getBoundingClientRect().left));
    holder.onkeydown = (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) { show(cell < 0 ? Math.floor(drawn.cells / 2) : cell + step); event.preventDefault(); }
    };
  },

  // What was measured beside what is expected.
  comparison() {
    const { statistics, expected, judgement } = this.tensor;
    const rows = [
      ["mean", statistics.mean, expected?.mean, judgement?.z_mean],
      ["stddev", statistics.stddev, expected?.stddev, judgement?.z_stddev],
      ["min", statistics.min, expected?.low, undefined],
      ["max", statistics.max, expected?.high, undefined],
      ["shape", undefined, undefined, judgement?.z_shape],
    ].filter((row) => row[0] !== "shape" || row[3] != null);
    const text = (value, digits) => (value === undefined ? "" : number(value, digits));
    const heads = ["", "measured", ...(expected ? ["expected", "z"] : [])];
    const bounds = { min: "≥ ", max: "≤ " };
    return el("div", {},
      expected ? el("p", { class: "call" }, "expected: ", el("code", {}, expected.initializer)) : "",
      el("div", { class: "scroll" }, el("table", { class: "plain" },
        el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col", class: "figure" }, head)))),
        el("tbody", {}, ...rows.map(([label, measured, promised, z]) => el("tr", {}, el("th", { scope: "row" }, label),
          el("td", { class: "figure" }, text(measured, 7)),
          ...(expected ? [
            el("td", { class: "figure" }, promised == null ? text(promised) : (bounds[label] ?? "") + number(promised, 7)),
            el("td", { class: "figure" }, z === undefined ? "" : number(z, 3)),
          ] : [])))))));
  },
};

function figures(tensor) {
  const { statistics, parameters } = tensor;
  const part = (found) => (found ? `${count(found)} (${share(found, parameters)})` : "0");
  return [
    ["dtype", tensor.dtype], ["shape", shapeText(tensor.shape)], ["parameters", count(parameters)], ["size", bytes(tensor.nbytes)],
    ["fan in", count(tensor.fan_in)], ["fan out", count(tensor.fan_out)], ["layout", data.layout],
    ["skewness", number(statistics.skewness, 5)], ["excess kurtosis", number(statistics.kurtosis, 5)], ["L2 norm", number(statistics.l2, 6)],
    ["zeros", part(statistics.zeros)], ["NaN", part(statistics.nan)], ["infinite", part(statistics.infinite)], ["file", tensor.file],
  ];
}

const definitions = (pairs) =>
  el("dl", { class: "figures" }, ...pairs.map(([term, text]) => el("div", {}, el("dt", {}, term), el("dd", {}, el("bdi", {}, text)))));

// The page -----------------------------------------------------------------------------------------

function startTheme() {
  const root = document.documentElement;
  const button = byId("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const name = () => { button.textContent = dark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  system.addEventListener("change", name);
  button.hidden = false;
  name();
}

startTheme();
startTable();
map.start();
for (const button of document.querySelectorAll("[data-verdict]")) {
  button.addEventListener("click", () => table.only(button.dataset.verdict));
}
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input, select") || panel.node.open) return;
  event.preventDefault();
  byId("filter").focus();
});
panel.node.addEventListener("close", () => panel.closed());
panel.node.addEventListener("click", (event) => { if (event.target === panel.node) panel.node.close(); });
addEventListener("resize", () => panel.node.open && panel.draw());
addEventListener("hashchange", () => panel.follow());
panel.follow();
