// What the scripts of all pages share. It stands before a page's own script, in the same element.
"use strict";
const page = (() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);

  // ---- text
  const minus = "\u2212", wide = "\u2009";
  const count = (n) => n.toLocaleString("en-US");

  // ---- elements
  const filled = (parent, node, properties, text) => {
    for (const [name, value] of Object.entries(properties)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  };
  const add = (parent, tag, properties = {}, text) => filled(parent, document.createElement(tag), properties, text);
  const draw = (parent, tag, properties = {}, text) =>
    filled(parent, document.createElementNS("http://www.w3.org/2000/svg", tag), properties, text);
  // A picture of this size in place of what the figure held.
  const canvas = (figure, width, height) => {
    figure.textContent = "";
    return draw(figure, "svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  };

  // Calls act with the event where the pointer is pressed on the node, and while it is dragged from there.
  const follow = (node, act) => {
    node.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      node.setPointerCapture(event.pointerId);
      act(event);
    });
    node.addEventListener("pointermove", (event) => { if (node.hasPointerCapture(event.pointerId)) act(event); });
  };
  // The middle of the slider's thumb goes from the left edge of a plot to its right one.
  const alignSlider = (slider, left, plotWidth) => {
    const thumb = 22;
    slider.style.left = left - thumb / 2 + "px";
    slider.style.width = plotWidth + thumb + "px";
  };
  // Draws now that the node has a place, and again whenever its width has changed.
  const drawAtEveryWidth = (node, drawAll) => {
    let drawn = 0;
    new ResizeObserver(() => {
      const width = node.clientWidth;
      if (width === drawn) return;
      drawn = width;
      drawAll();
    }).observe(node);
  };
  const listFacts = (facts) => {
    for (const [name, value] of facts) {
      add(byId("facts"), "dt", {}, name);
      add(add(byId("facts"), "dd"), name === "Command" ? "code" : "span", { class: "hostile" }, value);
    }
  };
  return { byId, data, minus, wide, count, add, draw, canvas, follow, alignSlider, drawAtEveryWidth, listFacts };
})();
