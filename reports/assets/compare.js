// The controls of the comparison of pictures: one state, shown by the controls, drawn by pictures.js, and kept in the address.
// Data reach the page as text and as values of controls alone. Without this script the page shows every picture in a grid.
(() => {
  const section = document.getElementById("compare");
  const data = section ? JSON.parse(section.dataset.comparison) : { sets: [] };
  const sets = data.sets.filter((set) => set.images.some((image) => image.embedded));
  if (!sets.length) return;

  const MODES = ["side", "slider", "error"];
  const [SMALLEST, LARGEST_ZOOM, NARROWEST] = [4, 24, 200]; // region, pixels of the picture; times; pane, pixels of the screen
  const part = (name) => document.getElementById(`compare-${name}`);
  const stage = part("stage");
  const modes = [...document.getElementsByName("compare-mode")];
  const models = (of) => of.methods.slice(1, -1);
  const indexOf = (key) => set.methods.findIndex((method) => method.key === key);
  const imageOf = () => set.images.find((image) => image.name === state.image);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  let set = sets[0];
  let state = fresh(set);
  let loaded = []; // of the image, a method each: { image, errors }
  let panes = []; // { view, layers: [{ canvas, index }], told }
  let turn = 0; // of loading: a later choice wins
  let choosing = false;
  let later = 0;
  let written = ""; // the address of this state, or of the state at the start

  function make(tag, text = "", className = "") {
    const element = document.createElement(tag);
    element.textContent = text;
    if (className) element.className = className;
    return element;
  }

  // The two methods of a set that differ most, beside the target.
  function pairOf(of) {
    return of.methods.map((method) => method.key).filter((key) => [of.start.left, of.start.right, "target"].includes(key));
  }

  // What a set shows at first.
  function fresh(of) {
    const keys = models(of).map((method) => method.key);
    const { image, left, right } = of.start;
    const shown = pairOf(of);
    const view = { region: null, zoom: 1, x: 0, y: 0 };
    const ranking = { count: data.worst, metric: of.metrics.length ? of.metrics[0].name : "", by: keys[0], against: "" };
    return { image, mode: "side", shown, left, right, split: 50, scale: 5, ...view, ...ranking };
  }

  // The address

  function address() {
    const usual = fresh(set);
    const words = new URLSearchParams({ set: set.key, image: state.image });
    for (const [field, value] of Object.entries(state)) {
      const text = Array.isArray(value) ? value.join(",") : typeof value === "number" ? String(+value.toFixed(3)) : value;
      if (field !== "image" && value !== null && text !== String(usual[field])) words.set(field, text);
    }
    return `#compare?${words}`;
  }

  // After a choice, once it rests: browsers refuse more than a few changes of the address a second.
  function remember() {
    clearTimeout(later);
    later = setTimeout(() => {
      if (address() !== written) history.replaceState(null, "", address());
      written = address();
    }, 150);
  }

  // The state that the address asks for; what this page does not hold is told and left at what is usual.
  function restore() {
    if (!location.hash.startsWith("#compare?")) return false;
    const words = new URLSearchParams(location.hash.slice("#compare?".length));
    const missing = [];
    const among = (field, values) => {
      const value = words.get(field);
      if (value === null || values.includes(value)) return value;
      missing.push(`${field} “${value}”`);
      return null;
    };
    const key = among("set", sets.map((one) => one.key));
    set = sets.find((one) => one.key === key) || sets[0];
    state = fresh(set);
    const keys = set.methods.map((method) => method.key);
    const networks = models(set).map((method) => method.key);
    const texts = { image: set.images.filter((image) => image.embedded).map((image) => image.name), mode: MODES, left: keys, right: keys };
    Object.assign(texts, { metric: set.metrics.map((metric) => metric.name), by: networks, against: networks });
    for (const [field, values] of Object.entries(texts)) state[field] = among(field, values) ?? state[field];
    const limits = { split: [0, 100], scale: [1, 20], zoom: [1, LARGEST_ZOOM], x: [0, 1e6], y: [0, 1e6], count: [1, 1e6] };
    for (const [field, [low, high]] of Object.entries(limits)) {
      const value = parseFloat(words.get(field));
      if (Number.isFinite(value)) state[field] = clamp(value, low, high);
    }
    if (words.has("shown")) {
      const asked = words.get("shown").split(",").filter(Boolean);
      missing.push(...asked.filter((one) => !keys.includes(one)).map((one) => `“${one}”`));
      state.shown = keys.filter((one) => asked.includes(one));
    }
    const region = (words.get("region") || "").split(",").map(Number);
    if (region.length === 4 && region.every(Number.isFinite)) state.region = region;
    part("told").textContent = missing.length ? `This page does not hold what the link asks for: ${missing.join(", ")}.` : "";
    return true;
  }

  // The view

  function size() {
    const found = loaded.find((one) => one.image);
    return found ? [found.image.naturalWidth, found.image.naturalHeight] : [1, 1];
  }

  const base = () => state.region || [0, 0, ...size()];
  const rectangle = () => pictures.visible(base(), state.zoom, state.x, state.y);
  const largest = () => clamp(Math.min(base()[2], base()[3]) / SMALLEST, 1, LARGEST_ZOOM);

  function place(zoom, x, y) {
    state.zoom = clamp(zoom, 1, largest());
    [state.x, state.y] = pictures.visible(base(), state.zoom, x, y);
    draw();
  }

  // Zooms so that the place at these fractions of a picture stays where it is.
  function zoomTo(zoom, across = 0.5, down = 0.5) {
    const [x, y, width, height] = rectangle();
    const wanted = clamp(zoom, 1, largest());
    place(wanted, x + across * (width - base()[2] / wanted), y + down * (height - base()[3] / wanted));
  }

  function move(across, down) {
    const [x, y, width, height] = rectangle();
    place(state.zoom, x + across * width, y + down * height);
  }

  function setRegion(region) {
    const [width, height] = size();
    state.region = null;
    if (region) {
      const [x, y] = [clamp(Math.floor(region[0]) || 0, 0, width - SMALLEST), clamp(Math.floor(region[1]) || 0, 0, height - SMALLEST)];
      const found = [x, y, clamp(Math.ceil(region[2]) || 0, SMALLEST, width - x), clamp(Math.ceil(region[3]) || 0, SMALLEST, height - y)];
      if (found[2] < width || found[3] < height) state.region = found;
    }
    place(1, base()[0], base()[1]);
  }

  function choose(on) {
    choosing = on;
    part("drag").setAttribute("aria-pressed", String(on));
    stage.classList.toggle("choosing", on);
    part("told").textContent = on ? "Drag over a picture, or type the region’s place and size. Escape cancels." : "";
  }

  // A rectangle was drawn over the pictures: start and end as fractions of what is visible.
  function drop([across, down], [toAcross, toDown]) {
    const [x, y, width, height] = rectangle();
    const [wide, high] = [width * Math.abs(toAcross - across), height * Math.abs(toDown - down)];
    choose(false);
    const [left, top] = [x + width * Math.min(across, toAcross), y + height * Math.min(down, toDown)];
    if (wide >= SMALLEST && high >= SMALLEST) setRegion([left, top, wide, high]);
    else part("told").textContent = `A region has at least ${SMALLEST}×${SMALLEST} pixels; this was smaller.`;
  }

  // The pictures

  function layer(index) {
    const canvas = make("canvas");
    canvas.setAttribute("role", "img");
    const what = state.mode === "error" && set.methods[index].key !== "target" ? ", error map" : "";
    canvas.setAttribute("aria-label", `${state.image}, ${set.methods[index].label}${what}`);
    return { canvas, index };
  }

  function absent(index) {
    return loaded[index].image ? "" : imageOf().notes[index] || "This browser cannot decode the picture.";
  }

  function values(index) {
    const shown = set.metrics.map((metric, at) => [metric, imageOf().values[index][at]]).filter(([, value]) => value !== null);
    return shown.map(([metric, value]) => `${metric.name} ${ranking.number(value, metric)}`).join("; ");
  }

  function pane(indices) {
    const [figure, view, caption] = [make("figure", "", "pane"), make("div", "", "view"), make("figcaption")];
    const [layers, told] = [[], []];
    for (const index of indices) {
      const reason = absent(index);
      if (reason) view.append(make("p", reason, "nothing"));
      else layers.push(layer(index));
      const text = make("div");
      told.push({ index, element: make("span") });
      text.append(make("b", set.methods[index].label), make("span", values(index)), told[told.length - 1].element);
      caption.append(text);
    }
    view.append(...layers.map((one) => one.canvas));
    if (state.mode === "slider" && layers.length === 2) {
      layers[1].canvas.classList.add("over");
      view.append(make("div", "", "divider"));
    }
    view.append(make("div", "", "choice"));
    view.lastChild.hidden = true;
    figure.append(view, caption);
    return { figure, view, layers, told };
  }

  // As few rows as fit, all but the last of one length.
  function columns() {
    const most = Math.max(2, Math.floor(stage.clientWidth / NARROWEST));
    const rows = Math.ceil(panes.length / most) || 1;
    const count = state.mode === "slider" ? 1 : Math.ceil(panes.length / rows) || 1;
    const [, , wide, high] = rectangle();
    const widest = part("split-row").style.maxWidth = `${(70 * wide / high).toFixed(1)}vh`; // the slider is seen as a whole
    stage.style.gridTemplateColumns = `repeat(${count}, minmax(0, ${state.mode === "slider" ? widest : "26rem"}))`;
  }

  function build() {
    if (!loaded.length) return; // enterImage builds them
    const slider = state.mode === "slider";
    const shown = slider ? [[indexOf(state.left), indexOf(state.right)]] : state.shown.map((key) => [indexOf(key)]);
    panes = shown.map(pane);
    stage.replaceChildren(...panes.map((one) => one.figure));
    if (!panes.length) stage.append(make("p", "Nothing is ticked above."));
    stage.classList.toggle("single", slider);
    part("shown").hidden = slider;
    part("ends").hidden = part("split-row").hidden = !slider;
    part("errors").hidden = state.mode !== "error";
    draw();
  }

  // The errors of a method's picture, computed once an image.
  function errorsOf(index) {
    const [mine, target] = [loaded[index], loaded[loaded.length - 1]];
    if (mine.errors === undefined) mine.errors = mine.image && target.image ? pictures.errors(mine.image, target.image) : null;
    return mine.errors;
  }

  function drawError(one, visible) {
    const { canvas, index } = one.layers[0];
    const found = errorsOf(index);
    if (found) pictures.paint(canvas, pictures.map(found, state.scale), visible);
    const { mean, psnr } = found ? pictures.measure(found, visible) : {};
    const told = `mean error ${mean?.toFixed(2)}; PSNR-RGB ${psnr === Infinity ? "infinite" : `${psnr?.toFixed(2)} dB`}`;
    one.told[0].element.textContent = found ? told : "no map: there is no target of its size";
  }

  function draw() {
    const visible = rectangle();
    columns();
    for (const one of panes) {
      one.view.style.aspectRatio = `${visible[2]} / ${visible[3]}`;
      const error = state.mode === "error" && one.layers.length && set.methods[one.layers[0].index].key !== "target";
      if (error) drawError(one, visible);
      else for (const { canvas, index } of one.layers) pictures.paint(canvas, loaded[index].image, visible);
      if (state.mode === "error" && !error && one.layers.length) one.told[0].element.textContent = "the error maps are differences from this picture";
      const divider = one.view.querySelector(".divider");
      if (divider) divider.style.left = `${state.split}%`;
      if (divider) one.layers[1].canvas.style.clipPath = `inset(0 0 0 ${state.split}%)`;
    }
    stage.classList.toggle("zoomed", state.zoom > 1);
    tell();
  }

  // What the controls show of the state.
  function tell() {
    part("link").href = address();
    pictures.locate(part("where"), imageOf(), rectangle(), size());
    part("zoom").textContent = `×${+state.zoom.toFixed(1)}`;
    const idle = { out: state.zoom <= 1, in: state.zoom >= largest(), whole: state.zoom <= 1 && !state.region };
    for (const [name, off] of Object.entries(idle)) part(name).setAttribute("aria-disabled", String(off)); // and keeps the focus
    ["x", "y", "w", "h"].forEach((name, at) => { part(name).value = base()[at]; part(name).max = size()[at % 2]; });
    part("split").value = state.split;
    part("split").setAttribute("aria-valuetext", `${Math.round(state.split)} % from the left`);
    part("scale").value = state.scale;
    part("scale-told").textContent = `×${state.scale}`;
    const end = +(255 / state.scale).toFixed(1);
    part("top").textContent = `${end} of 255`;
    part("errors-told").textContent =
      `Each pixel’s absolute difference from the target, averaged over R, G and B, times ${state.scale}: errors of ${end} levels ` +
      "and more have the lightest colour. Mean error and PSNR-RGB are for the visible part.";
  }

  function rank() {
    ranking.show(part("worst"), part("worst-told"), set, state, (image) => enterImage({ image }));
  }

  // Choices

  function fill(name, options, chosen) {
    part(name).replaceChildren(...options.map(([value, text, disabled]) => {
      const option = make("option", text);
      option.value = value;
      option.disabled = Boolean(disabled);
      return option;
    }));
    part(name).value = chosen;
  }

  const named = (methods) => methods.map((method) => [method.key, method.label]);

  // A method is compared with any but itself.
  function fillAgainst() {
    if (state.against === state.by) state.against = "";
    fill("against", [["", "nothing"], ...named(models(set).filter((method) => method.key !== state.by))], state.against);
  }

  function enterSet() {
    fill("set", sets.map((one) => [one.key, `${one.title}; ${one.detail}`]), set.key);
    const here = ({ name, embedded }) => [name, embedded ? name : `${name} (not on this page)`, !embedded];
    fill("image", set.images.map(here), state.image);
    fill("left", named(set.methods), state.left);
    fill("right", named(set.methods), state.right);
    fill("metric", set.metrics.map((metric) => [metric.name, metric.name]), state.metric);
    fill("by", named(models(set)), state.by);
    fillAgainst();
    part("count").value = state.count;
    modes.forEach((input) => { input.checked = input.value === state.mode; });
    const boxes = set.methods.map((method) => {
      const [label, box] = [make("label"), make("input")];
      box.type = "checkbox";
      box.value = method.key;
      label.append(box, method.label);
      label.title = method.what;
      return label;
    });
    part("methods").replaceChildren(part("methods").firstElementChild, ...boxes);
    tick(state.shown);
    return enterImage({});
  }

  function tick(keys) {
    state.shown = keys;
    for (const box of part("methods").querySelectorAll("input")) box.checked = keys.includes(box.value);
  }

  async function enterImage(changes) {
    const mine = ++turn;
    Object.assign(state, changes);
    [panes, loaded] = [[], []]; // nothing is drawn of two images at once
    const found = await Promise.all(imageOf().pictures.map(pictures.load));
    if (mine !== turn) return;
    loaded = found.map((image) => ({ image, errors: undefined }));
    part("image").value = state.image;
    const { region, zoom, x, y } = state;
    setRegion(region); // what was chosen stays, where the image is large enough for it
    if (zoom > 1) place(zoom, x, y);
    build();
    rank();
  }

  function step(by) {
    const names = set.images.filter((image) => image.embedded).map((image) => image.name);
    return enterImage({ image: names[(names.indexOf(state.image) + by + names.length) % names.length] });
  }

  function listen() {
    const on = (name, kind, act) => part(name).addEventListener(kind, (event) => act(event.target));
    on("set", "change", ({ value }) => { set = sets.find((one) => one.key === value); state = fresh(set); enterSet(); });
    on("image", "change", ({ value }) => enterImage({ image: value }));
    on("all", "click", () => { tick(set.methods.map((method) => method.key)); build(); });
    on("pair", "click", () => { tick(pairOf(set)); enterImage({ image: set.start.image }); });
    on("before", "click", () => step(-1));
    on("after", "click", () => step(1));
    modes.forEach((input) => input.addEventListener("change", () => { state.mode = input.value; build(); }));
    on("methods", "change", () => {
      state.shown = [...part("methods").querySelectorAll("input")].filter((box) => box.checked).map((box) => box.value);
      build();
    });
    for (const name of ["left", "right"]) on(name, "change", ({ value }) => { state[name] = value; build(); });
    for (const name of ["split", "scale"]) on(name, "input", ({ value }) => { state[name] = Number(value); draw(); });
    for (const name of ["metric", "by", "against"]) on(name, "change", ({ value }) => { state[name] = value; fillAgainst(); rank(); tell(); });
    on("count", "input", ({ value }) => { state.count = Math.max(1, Math.round(value) || data.worst); rank(); tell(); });
    on("in", "click", () => zoomTo(state.zoom * 1.5));
    on("out", "click", () => zoomTo(state.zoom / 1.5));
    on("whole", "click", () => setRegion(null));
    on("drag", "click", () => choose(!choosing));
    const corners = ["x", "y", "w", "h"];
    for (const name of corners) on(name, "change", () => setRegion(corners.map((one) => Number(part(one).value))));
    for (const kind of ["input", "change", "click", "pointerup", "keyup", "wheel"]) part("tool").addEventListener(kind, remember);
    part("tool").addEventListener("keydown", (event) => { if (event.key === "Escape" && choosing) choose(false); });
    new ResizeObserver(() => requestAnimationFrame(draw)).observe(stage);
    addEventListener("hashchange", () => { if (restore()) enterSet(); });
  }

  gestures(stage, {
    state: () => ({ choosing, slider: state.mode === "slider", split: state.split, zoom: state.zoom }),
    split: (value) => { state.split = clamp(value, 0, 100); draw(); },
    move,
    zoomTo,
    whole: () => setRegion(null),
    region: drop,
  });
  pictures.legend(part("legend"));
  part("grid").open = false;
  part("tool").hidden = false;
  listen();
  if (restore()) section.scrollIntoView({ behavior: "instant" });
  enterSet().then(() => { written = address(); });
})();
