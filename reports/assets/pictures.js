// Geometry and pixels of the comparison of pictures: it reads the page's <img> elements into canvases, and knows no control.
// A rectangle is [x, y, width, height] in pixels of the picture; an error is an absolute difference in levels of 0 to 255.
const pictures = (() => {
  // From dark to light in equal steps of luminance, from blue to yellow: in order also in grey, and to any kind of colour vision.
  const ANCHORS = [[0, 14, 60], [28, 56, 112], [86, 96, 116], [130, 132, 120], [180, 170, 98], [222, 206, 74], [255, 246, 150]];
  const LEVELS = Array.from({ length: 256 }, (_, level) => {
    const place = (level / 255) * (ANCHORS.length - 1);
    const from = Math.min(Math.floor(place), ANCHORS.length - 2);
    return ANCHORS[from].map((start, channel) => Math.round(start + (place - from) * (ANCHORS[from + 1][channel] - start)));
  });

  // The decoded element of this id, or null where the page has none or the browser cannot decode it.
  async function load(id) {
    const image = id ? document.getElementById(id) : null;
    if (!image) return null;
    try {
      await image.decode();
    } catch {
      return null;
    }
    return image.naturalWidth ? image : null;
  }

  function pixels(image) {
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  }

  // Absolute differences, one a pixel: the mean over R, G and B; and their squares' mean. null where the sizes differ.
  function errors(image, target) {
    const [one, other] = [pixels(image), pixels(target)];
    if (one.width !== other.width || one.height !== other.height) return null;
    const [absolute, squared] = [new Float32Array(one.width * one.height), new Float32Array(one.width * one.height)];
    for (let at = 0; at < absolute.length; at++) {
      for (let channel = 0; channel < 3; channel++) {
        const difference = Math.abs(one.data[4 * at + channel] - other.data[4 * at + channel]);
        absolute[at] += difference / 3;
        squared[at] += difference ** 2 / 3;
      }
    }
    return { width: one.width, height: one.height, absolute, squared };
  }

  // The errors as a picture: `scale` times the error on the colour scale, which ends at 255.
  function map(found, scale) {
    const canvas = document.createElement("canvas");
    canvas.width = found.width;
    canvas.height = found.height;
    const context = canvas.getContext("2d");
    const image = context.createImageData(found.width, found.height);
    for (let at = 0; at < found.absolute.length; at++) {
      image.data.set(LEVELS[Math.min(255, Math.round(found.absolute[at] * scale))], 4 * at);
      image.data[4 * at + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }

  // Mean absolute error and PSNR (RGB, in dB; Infinity where equal) over the pixels that the rectangle touches.
  function measure(found, [x, y, width, height]) {
    let [absolute, squared, count] = [0, 0, 0];
    for (let row = Math.floor(y); row < Math.min(found.height, Math.ceil(y + height)); row++) {
      for (let column = Math.floor(x); column < Math.min(found.width, Math.ceil(x + width)); column++) {
        absolute += found.absolute[row * found.width + column];
        squared += found.squared[row * found.width + column];
        count++;
      }
    }
    return { mean: absolute / count, psnr: 10 * Math.log10(255 ** 2 / (squared / count)) };
  }

  function legend(canvas) {
    const context = canvas.getContext("2d");
    const image = context.createImageData(256, 1);
    LEVELS.forEach((colour, level) => image.data.set([...colour, 255], 4 * level));
    context.putImageData(image, 0, 0);
  }

  // What is visible of `base` at this zoom with its corner at x, y, moved inside where it would leave it.
  function visible(base, zoom, x, y) {
    const [width, height] = [base[2] / zoom, base[3] / zoom];
    const inside = (value, start, room) => Math.min(Math.max(value, start), start + room);
    return [inside(x, base[0], base[2] - width), inside(y, base[1], base[3] - height), width, height];
  }

  // The part of an image or a canvas, each of its pixels a square; as many canvas pixels as the screen has.
  function paint(canvas, source, rectangle) {
    const { width, height } = canvas.getBoundingClientRect();
    canvas.width = Math.max(1, Math.round(width * devicePixelRatio));
    canvas.height = Math.max(1, Math.round(height * devicePixelRatio));
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(source, ...rectangle, 0, 0, canvas.width, canvas.height);
  }

  // The whole image in its figure, with the detail's frame, and in it the visible part's where that is smaller.
  function locate(figure, { name, whole }, [x, y, width, height], [wide, high]) {
    figure.hidden = !whole;
    if (!whole) return;
    const [svg, told] = figure.children;
    const draw = (tag, attributes) => {
      const made = document.createElementNS(svg.namespaceURI, tag);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      return made;
    };
    const [left, top, across, down] = whole.region;
    const frame = (box, ...kinds) => kinds.map((kind) => draw("rect", { class: kind, x: box[0], y: box[1], width: box[2], height: box[3] }));
    const seen = [left + (x / wide) * across, top + (y / high) * down, (width / wide) * across, (height / high) * down];
    svg.setAttribute("viewBox", `0 0 ${whole.size.join(" ")}`);
    svg.setAttribute("aria-label", `${name}, the whole image, and where the detail is`);
    const inner = width < wide || height < high ? frame(seen, "under", "seen") : [];
    svg.replaceChildren(draw("use", { href: `#${whole.picture}` }), ...frame(whole.region, "under", "part"), ...inner);
    told.textContent = `The whole image, ${whole.size.join("×")} pixels; framed: the detail${inner.length ? ", and in it what is visible" : ""}.`;
  }

  return { load, errors, map, measure, legend, visible, paint, locate };
})();
