// Where the first operation cuts, in fractions of the original.

const POINTS = {
  northwest: [0, 0], north: [0.5, 0], northeast: [1, 0],
  west: [0, 0.5], center: [0.5, 0.5], east: [1, 0.5],
  southwest: [0, 1], south: [0.5, 1], southeast: [1, 1],
};

export const clamp = (value) => Math.min(1, Math.max(0, value));

// Two numbers of the aspect ratio that the first operation crops to, where it crops to a box.
export function cropBox(step) {
  if (!step) return null;
  const { type, values } = step;
  const isBox =
    type === "smart_crop" ||
    (type === "resize" && (values.fit ?? "cover") === "cover") ||
    (type === "thumbnail" && values.fit === "fill");
  if (!isBox) return null;
  const ratio = readRatio(values.ratio);
  if (ratio) return ratio;
  // Below 1 a side is a share of the picture, whose size is not known yet.
  const { width_in_px: width, height_in_px: height } = values;
  return width >= 1 && height >= 1 ? [Math.round(width), Math.round(height)] : null;
}

function readRatio(text) {
  const found = /^([1-9]\d{0,4})x([1-9]\d{0,4})$/.exec(text ?? "");
  return found ? [Number(found[1]), Number(found[2])] : null;
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
  if (type === "crop") return rectangle(values, info);
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

// What `crop` keeps: pixels or shares; what is not given follows from the ratio and the position.
function rectangle(values, info) {
  const share = (value, side) => (value === undefined ? undefined : value > 0 && value < 1 ? value : value / side);
  const left = share(values.left_in_px, info.width);
  const top = share(values.top_in_px, info.height);
  let width = share(values.width_in_px, info.width);
  let height = share(values.height_in_px, info.height);
  const ratio = readRatio(values.ratio);
  if (ratio) {
    const relative = ratio[0] / ratio[1] / (info.width / info.height);
    if (width === undefined && height === undefined) width = Math.min(1 - (left ?? 0), (1 - (top ?? 0)) * relative);
    width ??= height * relative;
    height ??= width / relative;
  }
  width ??= 1 - (left ?? 0);
  height ??= 1 - (top ?? 0);
  const [x, y] = fractions(values.position ?? "center") ?? [0.5, 0.5];
  return { left: left ?? x * (1 - width), top: top ?? y * (1 - height), width, height };
}

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
  const { width_in_px, height_in_px, dpr, ratio } = step.values;
  // A ratio alone is not scaled to, so it becomes a crop.
  if (width_in_px === undefined && height_in_px === undefined) {
    return { ...step, type: "crop", values: { ratio, position } };
  }
  return { ...step, type: "resize", values: { width_in_px, height_in_px, fit: "cover", position, dpr, ratio } };
}
