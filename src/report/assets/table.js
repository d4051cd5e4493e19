
// The strangest rows with their reasons, the histogram of all scores, and the columns that are not what they were.
(() => {
  const { byId, data, minus, wide, count, add, draw, canvas, drawAtEveryWidth, listFacts } = page;
  const pageful = 25, columnful = 20;

  // ---- text
  const number = (x, digits = 4) => {
    if (x === 0) return "0";
    const size = Math.abs(x);
    const text = size >= 1e6 || size < 1e-4 ? x.toExponential(digits - 1).replace(/\.?0*e\+?/, "e") : String(Number(x.toPrecision(digits)));
    return text.replace("-", minus);
  };
  const singular = (noun) => (noun.endsWith("s") ? noun.slice(0, -1) : noun);
  const plural = (n, noun = data.noun) => `${count(n)} ${n === 1 ? singular(noun) : noun}`;
  const percent = (x) => (x === 0 ? "0" : x < 0.1 ? "< 0.1" : number(x, x < 10 ? 2 : 3)) + wide + "%";

  // ---- what happened
  for (const line of data.warnings) add(byId("warnings"), "li", { class: "hostile" }, line);
  byId("warnings").hidden = data.warnings.length === 0;
  const sentence = [`${plural(data.scored)} scored`];
  if (data.any_rule) sentence.push(`${count(data.flagged)} flagged (${data.rule})`);
  if (data.bad) sentence.push(`${count(data.bad)} could not be read`);
  byId("sentence").textContent = sentence.join(", ") + ".";

  // ---- histogram
  const bins = data.bins;
  byId("legend-here").textContent = data.noun + " here";
  const known = bins.some(([, , , usual]) => usual > 0);
  byId("legend-usual").hidden = !known;
  const bend = data.logarithmic ? Math.log : (x) => x, straighten = data.logarithmic ? Math.exp : (x) => x;
  const drawHistogram = () => {
    const figure = byId("histogram"), width = Math.max(280, figure.clientWidth);
    if (!bins.length) return;
    const left = 12, right = 12, top = 18, tall = width < 600 ? 120 : 160, bottom = 38;
    const plotWidth = width - left - right, height = top + tall + bottom, base = top + tall;
    const svg = canvas(figure, width, height);
    const from = bend(bins[0][0]), to = bend(bins[bins.length - 1][1]);
    const x = (score) => left + (plotWidth * (bend(score) - from)) / (to - from || 1);
    // Square roots: one row shows beside a thousand.
    const size = Math.sqrt, most = Math.max(1, ...bins.map(([, , rows, usual]) => Math.max(rows, usual)));
    const y = (rows) => base - (tall * size(rows)) / size(most);
    let written = -Infinity;
    const wanted = Math.max(2, Math.floor(plotWidth / 90)), ticks = [];
    if (data.logarithmic) {
      const decades = (to - from) / Math.LN10, steps = decades > 3 ? [1] : decades > 1.2 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
      for (let d = Math.floor(from / Math.LN10); d <= Math.ceil(to / Math.LN10); ++d) for (const s of steps) ticks.push(s * 10 ** d);
    } else {
      const raw = (to - from || 1) / wanted, unit = 10 ** Math.floor(Math.log10(raw));
      const step = [1, 2, 5, 10].map((s) => s * unit).find((s) => s >= raw);
      for (let i = Math.ceil(from / step); i * step <= to; ++i) ticks.push(Number((i * step).toPrecision(12)));
    }
    for (const tick of ticks) {
      if (bend(tick) < from || bend(tick) > to) continue;
      draw(svg, "path", { class: "grid", d: `M${x(tick)} ${top}V${base}` });
      const text = number(tick, 3), half = 3.5 * text.length + 6;
      if (x(tick) - half < written || x(tick) - half < 0 || x(tick) + half > width) continue;
      written = x(tick) + half;
      draw(svg, "text", { x: x(tick), y: base + 16, "text-anchor": "middle" }, text);
    }
    draw(svg, "text", { class: "axis-title", x: left + plotWidth / 2, y: height - 3, "text-anchor": "middle" },
      `score${data.logarithmic ? " (logarithmic axis)" : ""}; heights are square roots`);
    const broad = plotWidth / bins.length;
    const bars = (above) => bins.map(([begin, end, rows]) => {
      const middle = straighten((bend(begin) + bend(end)) / 2);
      if (!rows || (data.threshold !== null && middle >= data.threshold) !== above) return "";
      return `M${(x(begin) + 0.5).toFixed(2)} ${base}v${(Math.min(-1.5, y(rows) - base)).toFixed(2)}h${(broad - 1).toFixed(2)}V${base}z`;
    }).join("");
    draw(svg, "path", { class: "bars here", d: bars(false) });
    draw(svg, "path", { class: "bars here above", d: bars(true) });
    if (known) {
      const line = bins.map(([begin, end, , usual], i) => `${i ? "L" : "M"}${x(begin).toFixed(2)} ${y(usual).toFixed(2)}L${x(end).toFixed(2)} ${y(usual).toFixed(2)}`).join("");
      draw(svg, "path", { class: "usual-line", d: line });
    }
    draw(svg, "path", { class: "baseline", d: `M${left} ${base}h${plotWidth}` });
    if (data.threshold === null || (data.logarithmic && data.threshold <= 0)) return;
    const at = Math.min(left + plotWidth, Math.max(left, x(data.threshold)));
    draw(svg, "path", { class: "cut", d: `M${at} ${top - 6}V${base + 6}` });
    const rightwards = at + 150 < width;
    draw(svg, "text", { class: "mark-text", x: at + (rightwards ? 7 : -7), y: top + 4, "text-anchor": rightwards ? "start" : "end" },
      `flagged from ${number(data.threshold)}`);
  };
  drawAtEveryWidth(byId("histogram"), drawHistogram);

  // ---- rows
  const picture = (parent, reason) => {
    const svg = draw(parent, "svg", { viewBox: "0 0 200 18", preserveAspectRatio: "none", "aria-hidden": "true" });
    if (reason.at === null) return;
    const x = (share) => 4 + 192 * share, [low, high] = reason.normal;
    draw(svg, "rect", { class: "axis", x: 4, y: 8, width: 192, height: 2 });
    draw(svg, "rect", { class: "normal-range", x: x(low), y: 4, width: Math.max(2, x(high) - x(low)), height: 10 });
    if (reason.expected_at !== null) draw(svg, "path", { class: "expected", d: `M${x(reason.expected_at)} 1v16` });
    draw(svg, "ellipse", { class: "observed", cx: x(reason.at), cy: 9, rx: 4.5, ry: 5 });
  };
  const build = (row) => {
    const article = add(byId("rows"), "article", { class: "strange" + (row.flagged ? " flagged-row" : "") });
    const about = add(article, "div");
    add(about, "p", { class: "name hostile" }, row.id === "" ? "(no id)" : row.id);
    add(about, "p", { class: "value" }, number(row.score));
    add(about, "p", { class: "small muted" }, `p = ${number(row.p_value, 3)}`);
    const chips = add(about, "div", { class: "chips" });
    if (row.flagged) add(chips, "span", { class: "chip strong" }, "flagged");
    if (row.label !== "") add(chips, "bdi", { class: "chip" }, row.label);
    if (data.kept.length) {
      const kept = add(about, "dl", { class: "kept" });
      data.kept.forEach((name, i) => {
        const pair = add(kept, "div");
        add(pair, "dt", { class: "hostile" }, name);
        add(pair, "dd", { class: "hostile" }, row.kept[i]);
      });
    }
    const reasons = add(article, "div", { class: "reasons" });
    for (const reason of row.reasons) {
      const line = add(reasons, "div", { class: "reason" });
      add(line, "span", { class: "column hostile" }, reason.column);
      add(line, "span", { class: "percent" }, percent(reason.percent));
      picture(line, reason);
      const words = add(line, "span", { class: "words" });
      add(words, "bdi", {}, reason.observed === "" ? "missing" : reason.observed);
      const usual = reason.usual[0] !== "" ? `, usually ${reason.usual[0]} to ${reason.usual[1]}` : "";
      add(words, "bdi", { class: "muted" }, ` (expected ${reason.expected}${usual})`);
    }
    if (!row.reasons.length) add(reasons, "p", { class: "small muted" }, "no column stands out");
  };
  let shown = [], built = 0;
  const more = () => {
    const end = Math.min(shown.length, built + pageful);
    for (; built < end; ++built) build(shown[built]);
    byId("more").hidden = built === shown.length;
    byId("more").textContent = `show more (${count(shown.length - built)} left)`;
  };
  const list = () => {
    const text = byId("search").value.toLowerCase(), only = byId("only").checked;
    const holds = (row) => [row.id, row.label, ...row.kept, ...row.reasons.map((reason) => reason.column)].some((field) => field.toLowerCase().includes(text));
    shown = data.rows.filter((row) => (!only || row.flagged) && holds(row));
    byId("rows").textContent = "";
    built = 0;
    more();
    byId("rows-title").textContent = `${plural(shown.length)}, strangest first`;
    byId("nothing").hidden = shown.length > 0;
  };
  byId("only-field").hidden = !data.any_rule;
  byId("only").addEventListener("change", list);
  byId("search").addEventListener("input", list);
  byId("more").addEventListener("click", more);
  list();

  // ---- columns
  const shares = (parent, column) => {
    const svg = draw(parent, "svg", { viewBox: "0 0 208 30", "aria-hidden": "true" });
    const most = Math.max(1e-9, ...column.shares.flat()), broad = 208 / Math.max(1, column.shares.length);
    const y = (share) => 28 - 26 * (share / most);
    const bars = column.shares.map(([, here], i) => (here ? `M${(i * broad + 0.5).toFixed(2)} 28V${y(here).toFixed(2)}h${Math.max(1, broad - 1).toFixed(2)}V28z` : "")).join("");
    draw(svg, "path", { class: "bars here" + (column.drifted ? " above" : ""), d: bars });
    const line = column.shares.map(([then], i) => `${i ? "L" : "M"}${(i * broad).toFixed(2)} ${y(then).toFixed(2)}h${broad.toFixed(2)}`).join("");
    draw(svg, "path", { class: "usual-line", d: line });
    draw(svg, "path", { class: "baseline", d: "M0 28.5h208" });
  };
  let columns = 0;
  const moreColumns = () => {
    const end = Math.min(data.columns.length, columns + columnful);
    for (; columns < end; ++columns) {
      const column = data.columns[columns], row = add(byId("columns"), "tr");
      add(row, "td", { class: "hostile" }, column.name);
      shares(add(row, "td"), column);
      add(row, "td", { class: "n" }, number(column.distance, 2));
      add(row, "td", { class: "n" }, number(column.p_value, 2));
      const missing = add(row, "td", { class: "n" }, percent(100 * column.missing));
      add(missing, "span", { class: "muted" }, ` (${percent(100 * column.missing_in_training)})`);
      const chips = add(add(row, "td"), "div", { class: "chips" });
      if (column.drifted) add(chips, "span", { class: "chip strong" }, "changed");
      if (column.unseen) add(chips, "span", { class: "chip" }, `${count(column.unseen)} with new levels`);
    }
    byId("more-columns").hidden = columns === data.columns.length;
    byId("more-columns").textContent = `show more (${count(data.columns.length - columns)} left)`;
  };
  byId("drift").hidden = data.columns.length === 0;
  const changed = data.columns.filter((column) => column.drifted).length;
  byId("drift-sentence").textContent =
    (data.drifted
      ? `The bulk of the ${data.noun} does not score as the normal ones of the calibration (p = ${number(data.drift_p_value, 2)}): train again, if this is the new normal. `
      : `The bulk of the ${data.noun} scores as the normal ones of the calibration (p = ${number(data.drift_p_value, 2)}). `) +
    (changed ? `${plural(changed, "columns")} changed.` : "No column changed beyond chance.");
  byId("more-columns").addEventListener("click", moreColumns);
  moreColumns();

  listFacts(data.facts);
})();
