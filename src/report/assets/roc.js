
// Every number shown comes from a stop: a score of the data with the exact counts of rows at or above it. A row is
// flagged when its score is at or above the threshold. Stop 0 flags nothing; its threshold is null, above every score.
(() => {
  const { byId, data, minus, wide, count, add, draw, canvas, follow, alignSlider, drawAtEveryWidth, listFacts } = page;
  const evaluations = data.evaluations;
  let shown = 0;
  let stop = evaluations[0].chosen;

  // ---- text
  const dash = "\u2013";
  // Digits after the point that show two digits of something as small as `rest`.
  const digitsFor = (rest) => Math.min(17, Math.ceil(-Math.log10(rest)) + 1);
  // Three digits, or more where it would look like 0 or 1 and is neither.
  const ratio = (x) => {
    if (x === null || Number.isNaN(x)) return dash;
    const size = Math.abs(x), rest = 1 - size;
    const text = size > 0 && size < 0.0005 ? String(Number(x.toPrecision(2)))
      : x.toFixed(rest > 0 && rest <= 0.0005 ? digitsFor(rest) : 3);
    return text.replace("-", minus);
  };
  const area = ratio;
  const percent = (x) => {
    if (Number.isNaN(x)) return dash;
    const rest = Math.min(x, 1 - x);
    return (100 * x).toFixed(rest > 0 && rest < 0.001 ? digitsFor(100 * rest) : 1) + wide + "%";
  };
  const score = (x, digits = 4) => {
    if (x === null) return "above all scores";
    if (x === 0) return "0";
    const size = Math.abs(x);
    if (size >= 1e6 || size < 1e-4) return x.toExponential(digits - 1).replace(/\.?0*e\+?/, "e");
    return String(Number(x.toPrecision(digits))).replace("-", minus);
  };
  const percentOf = (x) => (100 * x).toFixed(x >= 0.01 ? 0 : 1);

  // ---- what a stop does
  const at = (e, i) => {
    const tp = e.tp[i], fp = e.fp[i], fn = e.anomalies - tp, tn = e.normals - fp;
    const margins = Math.sqrt(tp + fp) * Math.sqrt(tp + fn) * Math.sqrt(tn + fp) * Math.sqrt(tn + fn);
    return {
      tp, fp, tn, fn,
      tpr: tp / e.anomalies,
      fpr: fp / e.normals,
      precision: tp + fp > 0 ? tp / (tp + fp) : NaN,
      f1: 2 * tp / (2 * tp + fp + fn),
      mcc: margins > 0 ? (tp * tn - fp * fn) / margins : 0,
      flagged: (tp + fp) / (e.anomalies + e.normals),
    };
  };

  // ---- the score axis: 0 at the lowest score, 1 above the highest (stop 0)
  const axes = evaluations.map((e) => {
    const map = e.histogram.logarithmic ? (x) => Math.log(Math.max(x, Number.MIN_VALUE)) : (x) => x;
    const edges = e.histogram.edges;
    const low = map(edges[0]), high = map(edges[edges.length - 1]);
    // Halved first, so that a range wider than the largest double stays finite.
    const position = (x) => x === null ? 1
      : 0.97 * Math.min(1, Math.max(0, high > low ? (map(x) / 2 - low / 2) / (high / 2 - low / 2) : 0.5));
    return { position, stops: e.threshold.map(position), low: edges[0], high: edges[edges.length - 1] };
  });
  // Stops' positions fall with the index: the nearest one to `x`.
  const nearest = (positions, x) => {
    let first = 0, last = positions.length - 1;
    while (last - first > 1) {
      const middle = (first + last) >> 1;
      if (positions[middle] >= x) first = middle; else last = middle;
    }
    return positions[first] - x <= x - positions[last] ? first : last;
  };

  const linearTicks = (low, high, wanted) => {
    const span = high - low;
    if (!(span > 0) || !Number.isFinite(span)) return [low];
    const power = 10 ** Math.floor(Math.log10(span / wanted));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => span / s <= wanted) || 10 * power;
    const ticks = [];
    for (let k = Math.ceil(low / step); k * step <= high && ticks.length < 50; ++k) ticks.push(Number((k * step).toPrecision(12)));
    return ticks;
  };
  const logTicks = (low, high, wanted) => {
    const from = Math.ceil(Math.log10(low)), to = Math.floor(Math.log10(high));
    const decades = Math.max(0, to - from + 1);
    const ticks = [];
    const every = Math.max(1, Math.ceil(decades / wanted));
    const within = decades >= 4 ? [1] : decades >= 2 ? [1, 3] : [1, 2, 3, 5, 7];
    for (let k = from - 1; k <= to; k += every) {
      for (const m of every > 1 ? [1] : within) {
        const x = Number(`${m}e${k}`);
        if (x >= low && x <= high) ticks.push(x);
      }
    }
    return ticks.length > 1 ? ticks : linearTicks(low, high, wanted);
  };

  // ---- histogram
  const histogramArea = { left: 46, right: 12, top: 8, bottom: 38 };
  const logCounts = byId("log-counts");
  let moveCut = () => {};

  const merged = (histogram, most) => {  // neighbouring bins joined so that a bar keeps some width
    const bins = histogram.normals.length, factor = Math.max(1, Math.ceil(bins / most));
    const result = { edges: [], normals: [], anomalies: [] };
    const sum = (counts, from) => counts.slice(from, from + factor).reduce((a, b) => a + b, 0);
    for (let b = 0; b < bins; b += factor) {
      result.edges.push(histogram.edges[b]);
      result.normals.push(sum(histogram.normals, b));
      result.anomalies.push(sum(histogram.anomalies, b));
    }
    result.edges.push(histogram.edges[bins]);
    return result;
  };

  const drawHistogram = () => {
    const e = evaluations[shown], axis = axes[shown], figure = byId("histogram");
    const width = Math.max(240, figure.clientWidth), height = width < 480 ? 250 : 310;
    const { left, right, top, bottom } = histogramArea;
    const plotWidth = width - left - right, plotHeight = height - top - bottom;
    const svg = canvas(figure, width, height);
    const bins = merged(e.histogram, plotWidth / 4);
    const size = logCounts.checked ? (c) => (c > 0 ? Math.log10(c) + 0.35 : 0) : (c) => c;
    const up = Math.max(...bins.normals), down = Math.max(...bins.anomalies);
    const unit = plotHeight / Math.max(1e-9, size(up) + size(down));
    const base = top + unit * size(up);
    const x = (value) => left + plotWidth * axis.position(value);

    // counts
    const tickValues = (most) => {
      if (!logCounts.checked) return linearTicks(0, most, 4).filter((t) => t > 0 && Number.isInteger(t));
      const all = [];
      for (let t = 1; t <= most; t *= 10) all.push(t);
      const every = Math.ceil(all.length / 4);
      return all.filter((_, i) => i % every === 0);
    };
    const short = (n) => n >= 1e6 ? n / 1e6 + "M" : n >= 1e4 ? n / 1e3 + "k" : String(n);
    const grid = (tick, sign) => {
      const y = base - sign * unit * size(tick);
      if (sign < 0 && y - base < 11) return;
      draw(svg, "path", { class: "grid", d: `M${left} ${y}h${plotWidth}` });
      draw(svg, "text", { x: left - 7, y: y + 4, "text-anchor": "end" }, short(tick));
    };
    const apart = (ticks) => ticks.filter((t) => unit * size(t) >= 12);
    apart(tickValues(up)).forEach((tick) => grid(tick, 1));
    apart(tickValues(down)).forEach((tick) => grid(tick, -1));
    draw(svg, "text", { x: left - 7, y: base + 4, "text-anchor": "end" }, "0");

    // scores
    const wanted = Math.max(4, Math.floor(plotWidth / 80));
    const ticks = e.histogram.logarithmic ? logTicks(axis.low, axis.high, wanted) : linearTicks(axis.low, axis.high, wanted);
    let written = -Infinity, last = "";
    for (const tick of ticks) {
      draw(svg, "path", { class: "frame", d: `M${x(tick)} ${top + plotHeight}v4` });
      const text = score(tick), half = 3.6 * text.length;
      if (x(tick) - half < Math.max(0, written + 6) || x(tick) + half > width || text === last) continue;
      written = x(tick) + half;
      last = text;
      draw(svg, "text", { x: x(tick), y: top + plotHeight + 17, "text-anchor": "middle" }, text);
    }
    draw(svg, "text", { class: "axis-title", x: left + plotWidth / 2, y: height - 3, "text-anchor": "middle" },
      e.histogram.logarithmic ? "score (logarithmic axis)" : "score");

    // Bars: pale rows on the right side of the cut, solid on the wrong one. The bin the cut falls in shows both parts.
    const flagged = draw(svg, "rect", { class: "flagged", y: top, height: plotHeight });
    const bar = (b, sign, from, to) => {
      if (!(to > from)) return "";
      const leftEdge = x(bins.edges[b]), rightEdge = x(bins.edges[b + 1]), gap = rightEdge - leftEdge > 5 ? 0.5 : 0;
      const broad = Math.max(1, rightEdge - leftEdge - 2 * gap).toFixed(2);
      return `M${(leftEdge + gap).toFixed(2)} ${(base - sign * from).toFixed(2)}h${broad}v${(-sign * (to - from)).toFixed(2)}h-${broad}z`;
    };
    // How many of the bin's rows are flagged, given how many are in all: bins above the cut are flagged whole.
    const flaggedByBin = (counts, total) => {
      const result = counts.map(() => 0);
      for (let b = counts.length - 1, rest = total; b >= 0 && rest > 0; rest -= counts[b--]) result[b] = Math.min(rest, counts[b]);
      return result;
    };
    const pathOf = (kind, side) => draw(svg, "path", { class: `bars ${kind} ${side}` });
    const halves = [
      { counts: bins.normals, sign: 1, flaggedIsWrong: true, pale: pathOf("normal", "right-side"), solid: pathOf("normal", "wrong-side") },
      { counts: bins.anomalies, sign: -1, flaggedIsWrong: false, pale: pathOf("anomaly", "right-side"), solid: pathOf("anomaly", "wrong-side") },
    ];
    draw(svg, "path", { class: "baseline", d: `M${left} ${base}h${plotWidth}` });
    const cut = draw(svg, "path", { class: "cut" });
    const cutText = draw(svg, "text", { class: "mark-text", y: top + 10 }, "flagged \u2192");

    moveCut = () => {
      const at = left + plotWidth * axis.stops[stop];
      for (const { counts, sign, flaggedIsWrong, pale, solid } of halves) {
        const of = flaggedByBin(counts, flaggedIsWrong ? e.fp[stop] : e.tp[stop]);
        let paleBars = "", solidBars = "";
        counts.forEach((c, b) => {
          const tall = c > 0 ? Math.max(1.5, unit * size(c)) : 0;
          const wrongPart = c > 0 ? tall * (flaggedIsWrong ? of[b] : c - of[b]) / c : 0;
          solidBars += bar(b, sign, 0, wrongPart);
          paleBars += bar(b, sign, wrongPart, tall);
        });
        pale.setAttribute("d", paleBars);
        solid.setAttribute("d", solidBars);
      }
      flagged.setAttribute("x", at);
      flagged.setAttribute("width", Math.max(0, left + plotWidth - at));
      cut.setAttribute("d", `M${at} ${top - 4}V${top + plotHeight + 8}`);
      cutText.setAttribute("x", at + 7);
      cutText.setAttribute("visibility", at + 80 < width ? "visible" : "hidden");
    };
    const pointed = draw(svg, "rect", { class: "pointed", x: left, y: top, width: plotWidth, height: plotHeight });
    follow(pointed, (event) => {
      const box = pointed.getBoundingClientRect();
      select(nearest(axis.stops, (event.clientX - box.left) / box.width));
    });
    alignSlider(slider, left, plotWidth);
  };

  // ---- curves
  const rocPath = (e, x, y) => e.tp.map((tp, i) => `${i ? "L" : "M"}${x(e.fp[i] / e.normals).toFixed(2)} ${y(tp / e.anomalies).toFixed(2)}`).join("");
  // Average precision sums rectangles: precision holds from the previous recall to its own.
  const prPath = (e, x, y) => e.tp.map((tp, i) => {
    if (i === 0) return "";  // nothing is flagged: no precision
    const recall = x(tp / e.anomalies).toFixed(2), precision = y(tp / (tp + e.fp[i])).toFixed(2);
    return i === 1 ? `M${x(0).toFixed(2)} ${precision}H${recall}` : `V${precision}H${recall}`;
  }).join("");
  // Eight colours, each with a dash pattern of its own; then the same in thinner lines.
  const curveClass = (i) => `curve curve-${i % 8}${i < 8 ? "" : " again"}`;

  const drawCurve = (id, labels, path, chance, point, describe, roomBelow) => {
    const figure = byId(id), width = Math.max(240, figure.clientWidth);
    const left = 46, right = 12, top = 8, bottom = 42;
    const side = width - left - right, tall = Math.min(side, 400), height = tall + top + bottom;
    const svg = canvas(figure, width, height);
    const x = (v) => left + v * side, y = (v) => top + (1 - v) * tall;
    for (const tick of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
      draw(svg, "path", { class: "grid", d: `M${x(tick)} ${top}v${tall}M${left} ${y(tick)}h${side}` });
      draw(svg, "text", { x: x(tick), y: top + tall + 17, "text-anchor": "middle" }, String(tick));
      draw(svg, "text", { x: left - 7, y: y(tick) + 4, "text-anchor": "end" }, String(tick));
    }
    draw(svg, "path", { class: "frame", d: `M${left} ${top}v${tall}h${side}` });
    draw(svg, "text", { class: "axis-title", x: left + side / 2, y: height - 3, "text-anchor": "middle" }, labels[0]);
    draw(svg, "text", { class: "axis-title", x: 0, y: 0, "text-anchor": "middle", transform: `translate(11 ${top + tall / 2}) rotate(-90)` }, labels[1]);
    draw(svg, "path", { class: "chance", d: chance(evaluations[shown], x, y) });
    const order = evaluations.map((_, i) => i).sort((a, b) => (a === shown) - (b === shown));
    for (const i of order) {
      draw(svg, "path", { class: `${curveClass(i)}${i === shown ? "" : " background"}`, d: path(evaluations[i], x, y) });
    }
    const guide = draw(svg, "path", { class: "guide" });
    const mark = draw(svg, "circle", { class: "mark", r: 6.5 });
    const label = draw(svg, "text", { class: "mark-text" });
    const pointed = draw(svg, "rect", { class: "pointed", x: left, y: top, width: side, height: tall });
    follow(pointed, (event) => {
      const box = pointed.getBoundingClientRect();
      const to = [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height];
      const e = evaluations[shown];
      let best = 0, smallest = Infinity;
      for (let i = 0; i < e.tp.length; ++i) {
        const p = point(e, i), distance = (p[0] - to[0]) ** 2 + (p[1] - to[1]) ** 2;
        if (distance < smallest) { smallest = distance; best = i; }
      }
      select(best);
    });
    return () => {
      const p = point(evaluations[shown], stop), defined = !Number.isNaN(p[1]);
      const px = x(p[0]), py = y(defined ? p[1] : 1);
      guide.setAttribute("d", defined ? `M${left} ${py}H${px}V${top + tall}` : "");
      mark.setAttribute("visibility", defined ? "visible" : "hidden");
      mark.setAttribute("cx", px);
      mark.setAttribute("cy", py);
      // Where curves leave room: right of and below a ROC point, right of and above a precision point.
      label.textContent = describe(at(evaluations[shown], stop));
      const end = px + 12 + label.getComputedTextLength(), fits = end <= left + side;
      const below = roomBelow ? p[1] > 0.12 : !(p[1] <= 0.92);
      label.setAttribute("text-anchor", fits ? "start" : "end");
      label.setAttribute("x", fits ? px + 12 : Math.min(left + side - 2, roomBelow || below ? px - 12 : left + side - 2));
      label.setAttribute("y", py + (below ? 22 : -13));
    };
  };

  let moveRoc = () => {}, movePr = () => {};
  const drawAll = () => {
    drawHistogram();
    moveRoc = drawCurve("roc", ["false positive rate", "true positive rate"], rocPath,
      (e, x, y) => `M${x(0)} ${y(0)}L${x(1)} ${y(1)}`,
      (e, i) => [e.fp[i] / e.normals, e.tp[i] / e.anomalies],
      (now) => `TPR ${percent(now.tpr)}, FPR ${percent(now.fpr)}`, true);
    movePr = drawCurve("pr", ["recall", "precision"], prPath,
      (e, x, y) => `M${x(0)} ${y(e.anomalies / (e.anomalies + e.normals))}H${x(1)}`,
      (e, i) => { const now = at(e, i); return [now.tpr, now.precision]; },
      (now) => now.tp + now.fp > 0 ? `precision ${percent(now.precision)}` : "nothing flagged", false);
    update();
  };

  // ---- the chosen stop, everywhere
  const slider = byId("slider"), typed = byId("typed");
  const presets = byId("presets");

  const rates = [
    ["Recall (TPR)", (n) => percent(n.tpr)],
    ["False positive rate", (n) => percent(n.fpr)],
    ["Precision", (n) => percent(n.precision)],
    ["F1", (n) => ratio(n.f1)],
    ["Matthews correlation", (n) => ratio(n.mcc)],
    ["Balanced accuracy", (n) => percent((n.tpr + 1 - n.fpr) / 2)],
    ["Rows flagged", (n) => percent(n.flagged)],
  ].map(([name, value]) => {
    add(byId("rates"), "dt", {}, name);
    return [add(byId("rates"), "dd"), value];
  });

  const update = () => {
    const e = evaluations[shown], now = at(e, stop), threshold = e.threshold[stop];
    moveCut();
    moveRoc();
    movePr();
    for (const cell of ["tp", "fp", "tn", "fn"]) byId(cell).textContent = count(now[cell]);
    for (const [node, value] of rates) node.textContent = value(now);
    const flagged = now.tp + now.fp;
    const where = threshold === null ? "Above all scores, nothing is flagged" : `From score ${score(threshold, 5)} up, ${count(flagged)} of ${count(e.anomalies + e.normals)} rows are flagged`;
    const sentence = `${where}: ${count(now.tp)} of ${count(e.anomalies)} anomalies found, ${count(now.fp)} of ${count(e.normals)} normal rows flagged by mistake.`;
    byId("sentence").textContent = sentence;
    slider.value = axes[shown].stops[stop];
    slider.setAttribute("aria-valuetext", sentence);
    typed.value = threshold === null ? "" : String(threshold);
    typed.placeholder = threshold === null ? "above all" : "";
    typed.removeAttribute("aria-invalid");
    byId("use").hidden = threshold === null;
    byId("use-threshold").textContent = `--threshold=${threshold}`;
    byId("higher").disabled = stop === 0;
    byId("lower").disabled = stop === e.threshold.length - 1;
    for (const button of presets.children) button.setAttribute("aria-pressed", String(Number(button.dataset.stop) === stop));
  };
  const select = (index) => {
    stop = Math.max(0, Math.min(evaluations[shown].threshold.length - 1, index));
    update();
  };

  const offerPresets = () => {
    presets.textContent = "";
    for (const preset of evaluations[shown].presets) {
      const button = add(presets, "button", { type: "button", "data-stop": preset.stop, title: preset.help }, preset.label);
      button.addEventListener("click", () => select(preset.stop));
    }
  };

  slider.addEventListener("input", () => select(nearest(axes[shown].stops, Number(slider.value))));
  slider.addEventListener("keydown", (event) => {
    const stops = axes[shown].stops, page = 0.05;
    const jump = (direction) => {  // a twentieth of the axis, and at least one stop
      const there = nearest(stops, Math.min(1, Math.max(0, stops[stop] + direction * page)));
      return there === stop ? stop - direction : there;
    };
    const goal = {
      ArrowRight: () => stop - 1, ArrowUp: () => stop - 1, ArrowLeft: () => stop + 1, ArrowDown: () => stop + 1,
      PageUp: () => jump(1), PageDown: () => jump(-1), Home: () => stops.length - 1, End: () => 0,
    }[event.key];
    if (!goal || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    select(goal());
  });
  byId("lower").addEventListener("click", () => select(stop + 1));
  byId("higher").addEventListener("click", () => select(stop - 1));
  typed.addEventListener("change", () => {
    const text = typed.value.trim(), wanted = Number(text);
    if (text === "" || Number.isNaN(wanted)) {
      typed.setAttribute("aria-invalid", "true");
      return;
    }
    // The lowest stop at or above what was typed flags the same rows.
    const thresholds = evaluations[shown].threshold;
    let index = thresholds.length - 1;
    while (index > 0 && thresholds[index] < wanted) --index;
    select(index);
  });
  logCounts.addEventListener("change", () => { drawHistogram(); update(); });

  // ---- what stands around it
  const interval = (estimate) => estimate.low === null ? "" : `${percentOf(data.confidence)}${wide}% interval ${area(estimate.low)}${dash}${area(estimate.high)}`;
  const pText = (p) => p === null ? dash : p < 0.0001 ? "< 0.0001" : p.toFixed(4);
  const swatch = (parent, i) => {
    const svg = draw(parent, "svg", { class: "swatch", viewBox: "0 0 34 6", "aria-hidden": "true" });
    draw(svg, "path", { class: curveClass(i), d: "M0 3H34" });
  };
  // The choice of which score the histogram, the slider and the counts show.
  const choice = (parent, e, i) => {
    const radio = add(parent, "input", { type: "radio", name: "evaluation", value: String(i) });
    radio.checked = i === 0;
    radio.addEventListener("change", () => {
      shown = i;
      stop = e.chosen;
      begin();
    });
    swatch(parent, i);
    add(parent, "bdi", {}, e.name);
    if (e.model && evaluations.length === 2) add(parent, "span", { class: "small muted" }, `model ${e.model}`);
  };
  const summarise = () => {
    const several = evaluations.length > 1;
    evaluations.forEach((e, i) => {
      const card = add(byId("summaries"), several ? "label" : "div", { class: "summary" });
      if (several) choice(add(card, "span", { class: "name" }), e, i);
      const numbers = add(card, "span", { class: "numbers" });
      const number = (value, name, note) => {
        const cell = add(numbers, "span", { class: "number" });
        add(cell, "span", { class: "small muted" }, name);
        add(cell, "b", {}, value);
        add(cell, "span", { class: "small muted" }, note);
      };
      number(area(e.auroc.value), "AUROC", interval(e.auroc));
      number(area(e.auprc.value), "AUPRC (average precision)", interval(e.auprc) || `${area(e.anomalies / (e.anomalies + e.normals))} without skill`);
      if (!several) number(count(e.anomalies + e.normals), "labelled rows", `${count(e.anomalies)} anomalies, ${count(e.normals)} normal`);
    });
    const c = data.tests[0];
    if (c) {
      byId("comparison").hidden = false;
      const p = c.p_value === null ? "no test is possible" : `p ${c.p_value < 0.0001 ? "" : "= "}${pText(c.p_value)}`;
      byId("comparison").textContent = `The first AUROC is ${area(Math.abs(c.value))} ${c.value < 0 ? "lower" : "higher"} than the second ` +
        `(${percentOf(data.confidence)}${wide}% interval ${ratio(c.low)} to ${ratio(c.high)}, ${p}, paired DeLong test on ${count(c.rows)} rows).`;
    }
  };

  // ---- more than two scores: a table of all, and one of the tests
  const table = (id, caption, heads) => {
    const node = byId(id);
    add(node, "caption", {}, caption);
    const row = add(add(node, "thead"), "tr");
    for (const [head, kind] of heads) add(row, "th", { scope: "col", class: kind }, head);
    const body = add(node, "tbody");
    return () => {
      const line = add(body, "tr");
      return (kind, text) => add(line, "td", { class: kind }, text);
    };
  };
  const listScores = () => {
    byId("ranking").hidden = false;
    const models = evaluations.some((e) => e.model), range = `${percentOf(data.confidence)}${wide}% interval`;
    const heads = [["scores", "name"], ["AUROC", "number"], [range, "number"], ["AUPRC", "number"], [range, "number"],
      ["TPR", "number"], ["FPR", "number"]];
    const next = table("scores", `Scores of the same ${count(evaluations[0].anomalies + evaluations[0].normals)} rows: ` +
      `${count(evaluations[0].anomalies)} anomalies, ${count(evaluations[0].normals)} normal`, models ? [...heads, ["model", "number"]] : heads);
    const ends = (estimate) => estimate.low === null ? dash : `${area(estimate.low)}${dash}${area(estimate.high)}`;
    evaluations.forEach((e, i) => {
      const cell = next(), now = at(e, e.chosen);
      choice(add(cell("name"), "label"), e, i);
      for (const text of [area(e.auroc.value), ends(e.auroc), area(e.auprc.value), ends(e.auprc), percent(now.tpr), percent(now.fpr)]) cell("number", text);
      if (models) cell("number", e.model || dash);
    });
    byId("notes").hidden = false;
    add(byId("notes"), "p", {}, `TPR and FPR are at the threshold that ${data.rule} chooses for each score.`);
  };
  const listTests = () => {
    byId("pairs").hidden = false;
    const next = table("tests", `AUROC differences of all pairs: paired DeLong tests on ${count(data.tests[0].rows)} rows, adjusted by Holm`,
      [["first", "name"], ["second", "name"], ["difference", "number"], [`${percentOf(data.confidence)}${wide}% interval`, "number"], ["p", "number"], ["adjusted p", "number"]]);
    for (const test of data.tests) {
      const cell = next();
      for (const i of [test.first, test.second]) {
        const name = add(cell("name"), "label");
        swatch(name, i);
        add(name, "bdi", {}, evaluations[i].name);
      }
      for (const text of [ratio(test.value), `${ratio(test.low)} to ${ratio(test.high)}`, pText(test.p_value), pText(test.adjusted_p_value)]) cell("number", text);
    }
  };
  const listNotices = () => {
    for (const [id, lines] of [["warnings", data.warnings], ["notes", data.notes]]) {
      if (lines.length > 0) byId(id).hidden = false;
      for (const line of lines) add(byId(id), "p", { class: id === "warnings" ? "warning hostile" : "hostile" }, line);
    }
  };
  const begin = () => {
    const e = evaluations[shown];
    const up = Math.max(...e.histogram.normals), down = Math.max(...e.histogram.anomalies);
    logCounts.checked = Math.max(up, down) > 10 * Math.max(1, Math.min(up, down));
    byId("roc-note").textContent = `area ${area(e.auroc.value)}`;
    byId("pr-note").textContent = `area ${area(e.auprc.value)}`;
    offerPresets();
    drawAll();
  };

  if (evaluations.length > 2) {
    listScores();
    listTests();
  } else {
    summarise();
  }
  listNotices();
  listFacts(data.facts);
  begin();
  drawAtEveryWidth(byId("histogram"), drawAll);
})();
