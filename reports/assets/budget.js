// Figures of quality against cost: a slider sets the budget; the chart shades what costs more and rings the best of the rest.
(() => {
  const draw = (plot, name, attributes) => {
    const made = document.createElementNS(plot.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    plot.append(made);
    return made;
  };

  const middle = (mark) => {
    const box = mark.lastElementChild.getBBox();
    return [box.x + box.width / 2, box.y + box.height / 2];
  };

  function prepare(bar) {
    const plot = bar.closest("figure").querySelector("svg.plot");
    const { unit, quality, higher, digits } = bar.dataset;
    const marks = [...plot.querySelectorAll("[data-cost]")].map((mark) => ({
      mark, name: mark.dataset.name, cost: Number(mark.dataset.cost), quality: Number(mark.dataset.quality),
    })).sort((one, other) => one.cost - other.cost);
    const costs = [...new Set(marks.map((one) => one.cost))];
    if (costs.length < 2) return;
    const { width, height } = plot.viewBox.baseVal;
    const beyond = draw(plot, "rect", { class: "beyond", y: 0, height: Number(plot.querySelector(".axis").getAttribute("y1")) });
    const ring = draw(plot, "circle", { class: "chosen", r: 9, visibility: "hidden" }); // until it has a place
    const [slider, told] = [bar.querySelector("input"), bar.querySelector("output")];
    slider.max = slider.value = costs.length - 1;

    function show() {
      const budget = costs[slider.value];
      const fit = marks.filter((one) => one.cost <= budget);
      const better = (one, other) => (higher ? other.quality > one.quality : other.quality < one.quality);
      const best = fit.reduce((one, other) => (better(one, other) ? other : one));
      const first = marks.find((one) => one.cost > budget);
      const [x, y] = middle(best.mark);
      ring.setAttribute("visibility", "visible");
      ring.setAttribute("cx", x);
      ring.setAttribute("cy", y);
      const edge = first ? (middle(first.mark)[0] + middle(fit.at(-1).mark)[0]) / 2 : width - 6;
      beyond.setAttribute("x", edge);
      beyond.setAttribute("width", width - 6 - edge);
      for (const one of marks) one.mark.classList.toggle("over", one.cost > budget);
      told.textContent = `At most ${budget} ${unit}: ${best.name}, ${best.quality.toFixed(digits)} ${quality}, is the best of ${fit.length} of ${marks.length}.`;
      slider.setAttribute("aria-valuetext", told.textContent);
    }

    slider.addEventListener("input", show);
    bar.hidden = false;
    told.textContent = `All ${marks.length} networks, whatever they cost.`;
    // A figure that is not shown yet has no boxes.
    new IntersectionObserver(([seen], observer) => {
      if (!seen.isIntersecting) return;
      observer.disconnect();
      show();
    }).observe(plot);
  }

  for (const bar of document.querySelectorAll(".budget")) prepare(bar);
})();
