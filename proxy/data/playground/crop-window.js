// Where the first operation cuts, in fractions of the original.

const POINTS = {
  northwest: [0, 0], north: [0.5, 0], northeast: [1, 0],
  west: [0, 0.5], center: [0.5, 0.5], east: [1, 0.5],
  southwest: [0, 1], south: [0.5, 1], southeast: [1, 1],
};

export const clamp = (value) => Math.min(1, Math.max(0, value));

// The width and height of the crop, where the first operation crops to a box.
export function cropBox(step) {
  if (!step) return null;
  const { type, values } = step;
  const isBox =
    type === "smart_crop" ||
    (type === "resize" && (values.fit ?? "cover") === "cover") ||
    (type === "thumbnail" && values.fit === "fill");
  const { width_in_px: width, height_in_px: height } = values;
  return isBox && width >= 1 && height >= 1 ? [Math.round(width), Math.round(height)] : null;
}

// The ratio whose window the server is asked for: sides of at most 10,000.
export function windowRatio(step) {
  const box = cropBox(step);
  if (!box) return null;
  const shrink = Math.max(1, Math.max(...box) / 10000);
  return box.map((side) => Math.max(1, Math.round(side / shrink)));
}

function fractions(position) {
  if (position in POINTS) return POINTS[position];
  const found = /^([\d.]+),([\d.]+)$/.exec(position ?? "");
  return found ? [Number(found[1]), Number(found[2])] : null;
}

// {left, top, width, height} in fractions, or null. `info` describes the original.
export function cropWindow(step, info) {
  if (!step || !info) return null;
  const { type, values } = step;
  if (type === "crop") {
    return {
      left: (values.left_in_px ?? 0) / info.width,
      top: (values.top_in_px ?? 0) / info.height,
      width: (values.width_in_px ?? 0) / info.width,
      height: (values.height_in_px ?? 0) / info.height,
    };
  }
  const box = cropBox(step);
  if (!box) return null;
  const position = type === "resize" ? values.position ?? "center" : values.gravity ?? "center";
  if (type === "smart_crop" || position.startsWith("smart")) {
    const [found] = info.windows;
    return found
      ? {
          left: found.left / info.width,
          top: found.top / info.height,
          width: found.width / info.width,
          height: found.height / info.height,
        }
      : null;
  }
  const point = fractions(position);
  if (!point) return null;
  const relative = box[0] / box[1] / (info.width / info.height);
  const width = Math.min(1, relative);
  const height = Math.min(1, 1 / relative);
  const isCentered = type === "thumbnail" && !(position in POINTS);
  const place = (at, size) => (isCentered ? clamp01(at - size / 2, 1 - size) : at * (1 - size));
  return { left: place(point[0], width), top: place(point[1], height), width, height };
}

const clamp01 = (value, most) => Math.min(most, Math.max(0, value));

// The same step with its window centered on a point of the original, as far as it reaches.
export function moveFocalPoint(step, info, x, y) {
  const box = cropBox(step);
  if (!box) return step;
  const write = (a, b) => `${Number(clamp(a).toFixed(3))},${Number(clamp(b).toFixed(3))}`;
  if (step.type === "thumbnail") {
    return { ...step, values: { ...step.values, gravity: write(x, y) } };
  }
  const relative = box[0] / box[1] / (info.width / info.height);
  const align = (at, size) => (size >= 1 ? 0.5 : (at - size / 2) / (1 - size));
  const position = write(align(x, Math.min(1, relative)), align(y, Math.min(1, 1 / relative)));
  if (step.type === "resize") return { ...step, values: { ...step.values, position } };
  const { width_in_px, height_in_px, dpr } = step.values;
  return { ...step, type: "resize", values: { width_in_px, height_in_px, fit: "cover", position, dpr } };
}
