// The ranking of a set's images, worst first: by a metric of one method, or by what it loses to another.
const ranking = (() => {
  const signed = (text) => text.replace("-", "−");
  const number = (value, metric) => signed(value.toFixed(metric.digits)) + (metric.unit ? ` ${metric.unit}` : "");

  // Images with both values, worst first.
  function order(set, { metric, by, against, count }) {
    const column = set.metrics.findIndex((one) => one.name === metric);
    const [mine, theirs] = [by, against].map((key) => set.methods.findIndex((method) => method.key === key));
    const value = ({ values }) => {
      const [one, other] = [values[mine][column], theirs < 0 ? 0 : values[theirs][column]];
      return one == null || other == null ? null : one - other;
    };
    const found = set.images.map((image) => ({ image, value: value(image) })).filter((one) => one.value !== null);
    const sign = set.metrics[column]?.higher ? 1 : -1;
    return found.sort((one, other) => sign * (one.value - other.value)).slice(0, count);
  }

  function item({ image, value }, metric, choice, open) {
    const [line, name] = [document.createElement("li"), document.createElement(image.embedded ? "button" : "span")];
    name.textContent = image.name;
    if (image.embedded) {
      name.type = "button";
      name.addEventListener("click", () => open(image.name));
      if (image.name === choice.image) name.setAttribute("aria-current", "true");
    }
    const why = image.embedded ? "" : image.pictured ? " (its pictures are left out)" : " (no picture is recorded)";
    line.append(name, ` ${choice.against && value > 0 ? "+" : ""}${number(value, metric)}${why}`);
    return line;
  }

  // Fills the list and the sentence above it; open(name) shows an image.
  function show(list, told, set, choice, open) {
    const metric = set.metrics.find((one) => one.name === choice.metric);
    const label = (key) => set.methods.find((method) => method.key === key).label;
    const focused = list.contains(document.activeElement);
    list.replaceChildren(...(metric ? order(set, choice).map((one) => item(one, metric, choice, open)) : []));
    if (focused) list.querySelector("[aria-current]")?.focus();
    const sentence = choice.against
      ? `Difference in ${choice.metric} between ${label(choice.by)} and ${label(choice.against)}, the worst for ${label(choice.by)} first.`
      : `${choice.metric} of ${label(choice.by)}, ${metric?.higher ? "lowest" : "highest"} first.`;
    told.textContent = metric ? `${sentence} Of ${set.images.length} images.` : "The records of this set hold no metric.";
  }

  return { number, show };
})();
