
// Each image is a script element "item" (its figures), followed by one "pictures" when pictures of it were kept. Those
// are parsed only when the image comes into view. An image is flagged when its score is at or above the threshold.
(() => {
  const { byId, data, minus, wide, count, add, draw, canvas, follow, alignSlider, drawAtEveryWidth, listFacts } = page;
  const items = [...document.querySelectorAll("script.item")].map((element) => {
    const item = JSON.parse(element.textContent);
    const next = element.nextElementSibling;
    item.source = next && next.className === "pictures" ? next : null;
    item.kind = item.label === "" ? "unknown" : data.normal.includes(item.label) ? "normal" : "anomaly";
    return item;
  });
  const labelled = items.some((item) => item.kind !== "unknown");
  const pageful = 30;
  const panelNames = { input: "input", reconstruction: "reconstruction", heat: "heat map", mask: "mask", truth: "ground truth" };

  // ---- text
  const number = (x, digits = 4) => {
    if (x === 0) return "0";
    const size = Math.abs(x);
    const text = size >= 1e6 || size < 1e-4 ? x.toExponential(digits - 1).replace(/\.?0*e\+?/, "e") : String(Number(x.toPrecision(digits)));
    return text.replace("-", minus);
  };
  const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;

  // ---- pictures
  const pictures = (item) => {
    if (!item.pictures) {
      item.pictures = item.source ? JSON.parse(item.source.textContent) : {};
    }
    return item.pictures;
  };
  const address = (base64) => (base64.startsWith("/9j/") ? "data:image/jpeg;base64," : "data:image/png;base64,") + base64;
  const outlines = (parent, item, numbered) => {
    if (!item.regions.length || !item.width || !item.height) return;
    const svg = draw(parent, "svg", { viewBox: `0 0 ${item.width} ${item.height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    item.regions.forEach(([x, y, width, height], i) => {
      // A tiny region still shows: room around it.
      const room = Math.max(0, item.width / 40 - Math.min(width, height)) / 2 + item.width / 200;
      const box = { x: x - room, y: y - room, width: width + 2 * room, height: height + 2 * room, rx: item.width / 150 };
      draw(svg, "rect", { class: "halo", ...box });
      draw(svg, "rect", { class: "outline", ...box });
      if (!numbered || item.regions.length < 2) return;
      const scale = item.width / Math.max(1, parent.clientWidth);
      draw(svg, "text", { transform: `translate(${box.x} ${box.y - 4 * scale}) scale(${scale})` }, String(i + 1));
    });
  };

  // ---- the axis of scores
  const scores = items.map((item) => item.score).sort((a, b) => a - b);
  const lowest = scores.length ? scores[0] : 0, highest = scores.length ? scores[scores.length - 1] : 1;
  const logarithmic = lowest > 0 && highest > 30 * scores[scores.length >> 1];
  const bend = logarithmic ? Math.log : (x) => x, straighten = logarithmic ? Math.exp : (x) => x;
  // The threshold has its place on the axis, and at both ends there is room to flag all and none.
  const known = [lowest, highest].concat(data.threshold !== null && (!logarithmic || data.threshold > 0) ? [data.threshold] : []).map(bend);
  let from = Math.min(...known), to = Math.max(...known);
  const room = (to - from || Math.abs(to) || 1) * 0.02;
  from -= room;
  to += room;
  const place = (score) => Math.min(1, Math.max(0, ((logarithmic && score <= 0 ? from : bend(score)) - from) / (to - from)));
  const scoreAt = (share) => straighten(from + share * (to - from));

  let threshold = data.threshold !== null ? data.threshold : scoreAt(1);
  const flagged = (item) => item.score >= threshold;

  // ---- histogram
  let moveCut = () => {};
  const ticks = (room) => {
    const result = [];
    if (logarithmic) {
      const decades = (to - from) / Math.LN10;
      const steps = decades > 3 ? [1] : decades > 1.2 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
      for (let d = Math.floor(from / Math.LN10); d <= Math.ceil(to / Math.LN10); ++d) for (const s of steps) result.push(s * 10 ** d);
    } else {
      const raw = (to - from) / room, unit = 10 ** Math.floor(Math.log10(raw));
      const step = [1, 2, 5, 10].map((s) => s * unit).find((s) => s >= raw);
      for (let i = Math.ceil(from / step); i * step <= to; ++i) result.push(Number((i * step).toPrecision(12)));
    }
    return result.filter((t) => bend(t) >= from && bend(t) <= to);
  };
  const drawHistogram = () => {
    const figure = byId("histogram"), width = Math.max(280, figure.clientWidth);
    const left = 12, right = 12, top = 16, tall = width < 600 ? 120 : 150, bottom = 38;
    const plotWidth = width - left - right, height = top + tall + bottom;
    const svg = canvas(figure, width, height);
    const x = (score) => left + plotWidth * place(score);
    const bins = Math.max(20, Math.min(90, Math.round(plotWidth / 11)));
    const counts = { normal: new Array(bins).fill(0), anomaly: new Array(bins).fill(0), unknown: new Array(bins).fill(0) };
    for (const item of items) ++counts[item.kind][Math.min(bins - 1, Math.floor(place(item.score) * bins))];
    // Square roots: one image shows beside a hundred.
    const size = Math.sqrt;
    const up = Math.max(...counts.normal.map((n, b) => n + counts.unknown[b])), down = Math.max(...counts.anomaly);
    const unit = tall / Math.max(1, size(up) + size(down));
    const base = top + unit * size(up);
    let written = -Infinity;
    for (const tick of ticks(plotWidth / 90)) {
      draw(svg, "path", { class: "grid", d: `M${x(tick)} ${top}v${tall}` });
      const text = number(tick, 3), half = 3.5 * text.length + 6;
      if (x(tick) - half < written || x(tick) - half < 0 || x(tick) + half > width) continue;
      written = x(tick) + half;
      draw(svg, "text", { x: x(tick), y: top + tall + 16, "text-anchor": "middle" }, text);
    }
    draw(svg, "text", { class: "axis-title", x: left + plotWidth / 2, y: height - 3, "text-anchor": "middle" },
      logarithmic ? "score (logarithmic axis)" : "score");
    const shade = draw(svg, "rect", { class: "flagged", y: top, height: tall });
    const broad = plotWidth / bins;
    const bars = (kind, sign, under) => {
      const d = counts[kind].map((n, b) => {
        if (!n) return "";
        const begin = size(under[b]), end = size(under[b] + n);
        const rise = Math.max(1.5, unit * (end - begin));
        return `M${(left + b * broad + 0.5).toFixed(2)} ${(base - sign * unit * begin).toFixed(2)}h${(broad - 1).toFixed(2)}v${(-sign * rise).toFixed(2)}h-${(broad - 1).toFixed(2)}z`;
      }).join("");
      if (d) draw(svg, "path", { class: `bars ${kind} right-side`, d });
    };
    const none = new Array(bins).fill(0);
    bars("normal", 1, none);
    bars("unknown", 1, counts.normal);
    bars("anomaly", -1, none);
    draw(svg, "path", { class: "baseline", d: `M${left} ${base}h${plotWidth}` });
    const cut = draw(svg, "path", { class: "cut" });
    const cutText = draw(svg, "text", { class: "mark-text", y: top + 4 }, "flagged \u2192");
    moveCut = () => {
      const at = x(threshold);
      shade.setAttribute("x", at);
      shade.setAttribute("width", left + plotWidth - at);
      cut.setAttribute("d", `M${at} ${top - 6}V${top + tall + 6}`);
      cutText.setAttribute("x", at + 7);
      cutText.setAttribute("visibility", at + 80 < width ? "visible" : "hidden");
    };
    moveCut();
    const pointed = draw(svg, "rect", { class: "pointed", x: left, y: top, width: plotWidth, height: tall });
    follow(pointed, (event) => {
      const box = pointed.getBoundingClientRect();
      choose(scoreAt(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width))));
    });
    alignSlider(byId("slider"), left, plotWidth);
  };
  for (const entry of byId("legend").children) entry.hidden = !items.some((item) => item.kind === entry.dataset.kind);

  // ---- filters
  const filter = { type: null, state: "all", text: "" };
  const states = {
    all: ["all", () => true],
    flagged: ["flagged", flagged],
    passed: ["not flagged", (item) => !flagged(item)],
    wrong: ["wrong", (item) => (item.kind === "normal" && flagged(item)) || (item.kind === "anomaly" && !flagged(item))],
  };
  if (!labelled) delete states.wrong;
  const orders = {
    high: (a, b) => b.score - a.score,
    low: (a, b) => a.score - b.score,
    near: (a, b) => Math.abs(place(a.score) - place(threshold)) - Math.abs(place(b.score) - place(threshold)),
    id: (a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0),
  };
  const press = (group, chosen) => {
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.dataset.value === chosen));
  };
  const offer = () => {
    const types = [...new Set(items.map((item) => item.label))];
    const weight = (label) => (data.normal.includes(label) ? 0 : label === "" ? 2 : 1);
    types.sort((a, b) => weight(a) - weight(b) || (a < b ? -1 : 1));
    const button = (value, text, kind, n) => {
      const node = add(byId("types"), "button", { type: "button", "data-value": value });
      if (kind) add(node, "span", { class: `dot ${kind}` });
      add(node, "bdi", {}, text);
      add(node, "span", { class: "muted" }, count(n));
      node.addEventListener("click", () => {
        filter.type = value === "*" ? null : value.slice(1);
        press(byId("types"), value);
        list();
      });
    };
    if (types.length > 1) {
      button("*", "all types", "", items.length);
      for (const type of types) {
        const own = items.filter((item) => item.label === type);
        button("=" + type, type || "no label", own[0].kind, own.length);
      }
      press(byId("types"), "*");
    }
    for (const [value, [text]] of Object.entries(states)) {
      const node = add(byId("states"), "button", { type: "button", "data-value": value }, text);
      add(node, "span", { class: "muted" });
      node.addEventListener("click", () => {
        filter.state = value;
        press(byId("states"), value);
        list();
      });
    }
    press(byId("states"), "all");
  };

  // ---- rows
  const panels = data.panels;
  document.documentElement.style.setProperty("--panels", Math.max(1, panels.length));
  add(byId("columns"), "span", {}, "");
  for (const name of panels) add(byId("columns"), "span", {}, panelNames[name]);

  let shown = [];  // what the filters leave, in order
  let built = 0;
  const describe = (about, item) => {
    const times = data.threshold > 0 && item.score > 0 ? `${number(item.score / data.threshold, 3)}${wide}\u00d7 threshold` : "";
    add(about, "p", { class: "name hostile" }, item.id);
    const value = add(about, "p", { class: "value" }, number(item.score) + " ");
    add(value, "small", {}, times);
    const facts = [];
    if (item.p_value !== undefined) facts.push(`p = ${number(item.p_value, 3)}`);
    if (panels.includes("mask") || item.region_count) facts.push(plural(item.region_count, "region", "regions"));
    if (facts.length) add(about, "p", { class: "small muted" }, facts.join(", "));
    item.chips = add(about, "div", { class: "chips" });
    item.about = about;
    judge(item);
  };
  const judge = (item) => {
    if (!item.about || !item.about.isConnected && !item.fresh) return;
    const is = flagged(item);
    item.about.classList.toggle("flagged-image", is);
    item.chips.textContent = "";
    if (item.label !== "") {
      const chip = add(item.chips, "span", { class: "chip" });
      add(chip, "span", { class: `dot ${item.kind}` });
      add(chip, "bdi", {}, item.label);
    }
    if (is) add(item.chips, "span", { class: "chip strong" }, "flagged");
    if (is && item.kind === "normal") add(item.chips, "span", { class: "chip wrong" }, "false alarm");
    if (!is && item.kind === "anomaly") add(item.chips, "span", { class: "chip wrong" }, "missed");
  };
  const build = (item) => {
    const row = add(byId("rows"), "article", { class: "row" });
    item.fresh = true;
    describe(add(row, "div", { class: "about" }), item);
    item.fresh = false;
    const own = pictures(item);
    if (!panels.some((name) => own[name])) add(row, "p", { class: "none small muted" }, "no pictures kept");
    for (const name of panels) {
      const cell = add(row, "figure", { class: "cell" });
      add(cell, "figcaption", {}, panelNames[name]);
      if (!own[name]) continue;
      const button = add(cell, "button", { type: "button", "aria-label": `Enlarge the ${panelNames[name]} of ${item.id}` });
      const picture = add(button, "div", { class: "picture" });
      add(picture, "img", { src: address(own[name]), alt: panelNames[name], loading: "lazy", decoding: "async" });
      if (name === "input") outlines(picture, item, false);
      button.addEventListener("click", () => view(shown.indexOf(item), name));
    }
  };
  const more = () => {
    const end = Math.min(shown.length, built + pageful);
    for (; built < end; ++built) build(shown[built]);
    byId("more").hidden = built === shown.length;
    byId("more").textContent = `show more (${count(shown.length - built)} left)`;
  };
  let later = 0;  // a list that waits for the threshold to rest
  const list = () => {
    clearTimeout(later);
    const text = filter.text.toLowerCase();
    const fits = (item) => (filter.type === null || item.label === filter.type) && item.id.toLowerCase().includes(text);
    const candidates = items.filter(fits);
    for (const button of byId("states").children) {
      button.lastElementChild.textContent = count(candidates.filter(states[button.dataset.value][1]).length);
    }
    const next = candidates.filter(states[filter.state][1]).sort(orders[byId("order").value]);
    const same = next.length === shown.length && next.every((item, i) => item === shown[i]);
    shown = next;
    if (!same || built === 0) {
      byId("rows").textContent = "";
      built = 0;
      more();
    }
    byId("images-title").textContent = plural(shown.length, "image", "images");
    byId("nothing").hidden = shown.length > 0;
    byId("columns").hidden = shown.length === 0;
  };

  // ---- one image
  const viewer = byId("viewer");
  let viewed = 0, layer = "blend";
  const layers = () => {
    const own = pictures(shown[viewed]);
    const names = panels.filter((name) => own[name]);
    return own.input && own.heat ? ["blend", ...names] : names;
  };
  const paint = () => {
    const item = shown[viewed], own = pictures(item), stage = byId("stage");
    const offered = layers();
    if (!offered.includes(layer)) layer = offered[0];
    stage.textContent = "";
    if (item.width && item.height) stage.style.setProperty("--ratio", item.width / item.height);
    const blended = layer === "blend";
    if (layer) add(stage, "img", { src: address(own[blended ? "input" : layer]), alt: blended ? "input" : panelNames[layer] });
    if (blended) {
      const over = add(stage, "img", { class: "over", src: address(own.heat), alt: "heat map" });
      over.style.opacity = byId("blend").value;
    }
    outlines(stage, item, true);
    byId("blend-field").hidden = !blended;
    byId("layers").textContent = "";
    for (const name of offered) {
      const button = add(byId("layers"), "button", { type: "button", "data-value": name }, name === "blend" ? "overlay" : panelNames[name]);
      button.addEventListener("click", () => { layer = name; paint(); });
    }
    press(byId("layers"), layer);
  };
  const view = (index, name) => {
    viewed = index;
    if (name) layer = name === "heat" ? "blend" : name;
    const item = shown[viewed];
    if (!viewer.open) viewer.showModal();
    byId("viewer-title").textContent = item.id;
    const facts = byId("viewer-facts");
    facts.textContent = "";
    const fact = (key, value) => { add(facts, "dt", {}, key); add(facts, "dd", {}, value); };
    fact("score", number(item.score, 6));
    fact("threshold", number(threshold, 6) + (flagged(item) ? ", flagged" : ", not flagged"));
    if (item.p_value !== undefined) fact("p-value", number(item.p_value, 4));
    if (item.label !== "") fact("label", item.label);
    if (item.width) fact("pixels", `${item.width} \u00d7 ${item.height}`);
    fact("place", `${count(viewed + 1)} of ${count(shown.length)}`);
    const table = byId("viewer-regions"), body = table.tBodies[0];
    body.textContent = "";
    item.regions.forEach(([x, y, width, height, area, peak], i) => {
      const line = add(body, "tr");
      for (const text of [String(i + 1), number(x, 5), number(y, 5), `${number(width)} \u00d7 ${number(height)}`, number(area, 5), number(peak, 3)]) add(line, "td", {}, text);
    });
    table.hidden = item.regions.length === 0;
    byId("previous").disabled = viewed === 0;
    byId("next").disabled = viewed === shown.length - 1;
    paint();
  };
  const walk = (step) => {
    const index = viewed + step;
    if (index >= 0 && index < shown.length) view(index);
  };
  byId("previous").addEventListener("click", () => walk(-1));
  byId("next").addEventListener("click", () => walk(1));
  byId("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("keydown", (event) => {
    if (event.target.matches("input") || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft") walk(-1);
    if (event.key === "ArrowRight") walk(1);
  });
  byId("blend").addEventListener("input", () => { byId("stage").querySelector(".over").style.opacity = byId("blend").value; });
  const outlineBoxes = [byId("outline"), byId("viewer-outline")];
  for (const box of outlineBoxes) {
    box.addEventListener("change", () => {
      for (const other of outlineBoxes) other.checked = box.checked;
      document.body.classList.toggle("no-outline", !box.checked);
    });
  }

  // ---- the threshold, everywhere
  const sentence = () => {
    const of = (kind) => items.filter((item) => item.kind === kind);
    const inAll = items.filter(flagged).length;
    let text = `From score ${number(threshold, 5)} up, ${count(inAll)} of ${plural(items.length, "image is", "images are")} flagged`;
    const normal = of("normal"), anomaly = of("anomaly"), parts = [];
    if (anomaly.length) parts.push(`${count(anomaly.filter(flagged).length)} of ${plural(anomaly.length, "defective image", "defective images")} found`);
    if (normal.length) parts.push(`${count(normal.filter(flagged).length)} of ${plural(normal.length, "normal image", "normal images")} flagged by mistake`);
    if (parts.length) text += ": " + parts.join(", ");
    return text + ".";
  };
  const slider = byId("slider"), typed = byId("typed"), reset = byId("reset");
  const choose = (value) => {
    threshold = value;
    moveCut();
    byId("sentence").textContent = sentence();
    slider.value = place(threshold);
    slider.setAttribute("aria-valuetext", number(threshold, 5));
    typed.value = String(Number(threshold.toPrecision(6)));
    typed.removeAttribute("aria-invalid");
    reset.hidden = data.threshold === null || threshold === data.threshold;
    for (let i = 0; i < built; ++i) judge(shown[i]);
    // What the filters leave may change with the threshold; not at every pixel of a drag.
    clearTimeout(later);
    later = setTimeout(list, 120);
  };
  slider.addEventListener("input", () => choose(scoreAt(Number(slider.value))));
  typed.addEventListener("change", () => {
    const value = Number(typed.value.trim());
    if (typed.value.trim() === "" || !Number.isFinite(value)) typed.setAttribute("aria-invalid", "true");
    else choose(value);
  });
  reset.textContent = data.threshold === null ? "" : `back to ${number(data.threshold, 5)}`;
  reset.title = data.rule;
  reset.addEventListener("click", () => choose(data.threshold));
  byId("order").addEventListener("change", list);
  byId("search").addEventListener("input", () => { filter.text = byId("search").value.trim(); list(); });
  byId("more").addEventListener("click", more);
  new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting) && built < shown.length) more(); },
    { rootMargin: "600px" }).observe(byId("more"));

  // ---- what stands around it
  if (data.scale) {
    const [low, bar, high] = byId("scale").children;
    byId("scale").hidden = !panels.includes("heat");
    low.textContent = "error " + number(data.scale.low, 3);
    high.textContent = number(data.scale.high, 3);
    bar.style.background = `linear-gradient(90deg, ${data.scale.colours.map((c) => `rgb(${c.join(" ")})`).join(", ")})`;
  }
  const facts = [...data.facts];
  if (data.rule) facts.unshift(["Threshold", `${data.threshold === null ? "none" : number(data.threshold, 6)}, ${data.rule}`]);
  if (data.pictured < data.items) facts.push(["Pictures", `of ${count(data.pictured)} of ${count(data.items)} images; the others are counted in the histogram`]);
  listFacts(facts);
  byId("run").hidden = facts.length === 0;

  offer();
  drawHistogram();
  choose(threshold);
  list();
  drawAtEveryWidth(byId("histogram"), drawHistogram);
})();
