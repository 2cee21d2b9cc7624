// Pointer, wheel and keyboard on the pictures of the comparison: what they mean, told to `act`; places are fractions of a picture's view.
// act.state() gives { choosing, slider, split, zoom }; the others do: split(percent), move(across, down), zoomTo(zoom, across, down),
// whole(), region(from, to).
const gestures = (stage, act) => {
  const [NEAR, ZOOM, TURN, STEP, SPLIT] = [24, 1.5, 1.2, 0.1, 2]; // screen pixels; a press; a turn of the wheel; of the view; percent
  const inside = (value) => Math.min(Math.max(value, 0), 1);

  function fractions(view, event) {
    const box = view.getBoundingClientRect();
    return [inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height)];
  }

  // The rectangle between two places, the same on all pictures; none without them.
  function outline(from, to) {
    for (const box of stage.querySelectorAll(".choice")) {
      box.hidden = !from;
      if (!from) continue;
      [box.style.left, box.style.top] = [0, 1].map((axis) => `${100 * Math.min(from[axis], to[axis])}%`);
      [box.style.width, box.style.height] = [0, 1].map((axis) => `${100 * Math.abs(to[axis] - from[axis])}%`);
    }
  }

  function press(event) {
    const view = event.target.closest(".view");
    if (!view || event.button !== 0) return;
    const { choosing, slider, split, zoom } = act.state();
    const start = fractions(view, event);
    const slides = !choosing && slider && (zoom === 1 || Math.abs(start[0] - split / 100) * view.clientWidth < NEAR);
    let last = start;
    const dragged = (moved) => {
      const now = fractions(view, moved);
      if (choosing) outline(start, now);
      else if (slides) act.split(100 * now[0]);
      else act.move(last[0] - now[0], last[1] - now[1]);
      last = now;
    };
    const ended = (moved) => {
      ["pointerup", "pointercancel"].forEach((kind) => view.removeEventListener(kind, ended));
      view.removeEventListener("pointermove", dragged);
      outline();
      if (choosing && moved.type === "pointerup") act.region(start, last);
    };
    view.setPointerCapture(event.pointerId);
    view.addEventListener("pointermove", dragged);
    ["pointerup", "pointercancel"].forEach((kind) => view.addEventListener(kind, ended));
    if (slides) dragged(event);
  }

  function key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const { slider, split, zoom } = act.state();
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = arrows[event.key];
    if (event.key === "+" || event.key === "=") act.zoomTo(zoom * ZOOM);
    else if (event.key === "-" || event.key === "_") act.zoomTo(zoom / ZOOM);
    else if (event.key === "0") act.whole();
    else if (way && zoom > 1) act.move(STEP * way[0], STEP * way[1]);
    else if (way && way[0] && slider) act.split(split + SPLIT * way[0]);
    else return; // and the page scrolls
    event.preventDefault();
  }

  function wheel(event) {
    const view = event.target.closest(".view");
    if (!view || !(event.ctrlKey || document.activeElement === stage)) return; // and the page scrolls
    event.preventDefault();
    act.zoomTo(act.state().zoom * (event.deltaY < 0 ? TURN : 1 / TURN), ...fractions(view, event));
  }

  stage.addEventListener("pointerdown", press);
  stage.addEventListener("keydown", key);
  stage.addEventListener("wheel", wheel, { passive: false });
};
