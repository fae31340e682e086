// What links are made of: sources, steps and the sizes of a srcset. Nothing here knows a key.

/** @typedef {string | number | boolean | null} Scalar */
/** @typedef {Scalar | readonly (string | number)[]} Value */

/**
 * @typedef {object} SrcsetOptions
 * @property {{ width: number, height: number }} original The original's size as it is shown, as
 *   `info` links tell.
 * @property {readonly number[]} [widths] In pixels.
 * @property {readonly [number, number]} [ratio] Aspect ratio to crop to, such as `[16, 9]`; without
 *   one nothing is cropped.
 * @property {"smart" | "center"} [crop] What to keep with a ratio: the subject (the default), or the
 *   center.
 * @property {number} [maxWidth] The box' width in pixels.
 * @property {number} [maxHeight] The box' height in pixels.
 */

/**
 * @typedef {SrcsetOptions & { formats?: readonly string[], sizes?: string }} PictureOptions
 * The last of the formats is that of the `<img>`.
 */

/** @typedef {{ url: string, width: number, height: number }} Candidate An image of a srcset. */
/** @typedef {{ path: string, width: number, height: number }} Plan A candidate without signature. */

/**
 * @typedef {object} Picture
 * @property {{ type: string, srcset: string, sizes: string }[]} sources
 * @property {{ src: string, srcset: string, sizes: string, width: number, height: number }} img
 *   Width and height are those of the largest image.
 */

export const DEFAULT_WIDTHS = Object.freeze([320, 640, 960, 1280, 1920, 2560, 3840]);
export const FORMATS = Object.freeze(["avif", "gif", "heif", "jpeg", "jxl", "png", "webp"]);
/** The longest side that the server's operations take, in pixels. */
export const MAX_SIDE = 16384;

/** The steps after which a picture has the size that it had before. */
export const SAME_SIZE_STEPS = new Set(
  (
    "attachment auto_contrast blur blur_detections contrast convert debug denoise expires fallback " +
    "filename flip flop gamma gradient grayscale invert_colors keep modulate opacity pixelate " +
    "quality remove_background remove_transparency sharpen shift_colors strip tag text threshold " +
    "tint v watermark"
  ).split(" "),
);

const KEY = /^(?:[0-9A-Fa-f]{2}){16,128}$/;
const BASE = /^https?:\/\/[^/]/i;
const NAME = /^[a-z][a-z0-9_]*$/;
const STEP = /^([a-z][a-z0-9_]*)(?::(?:[A-Za-z0-9._~!$&'()*+,;=@:-]|%[0-9A-Fa-f]{2})*)?$/;
const HTTP_URL = /^(https?):\/\/([^/?]+)(.*)$/is;
const ALIAS = /^([a-z][a-z0-9_-]{0,31}):(.+)$/s;
const RESERVED = new Set(["b64", "data", "http", "https", "upload"]);
const CONTROL = /[\x00-\x1f\x7f]/;
const UNSAFE = /%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9._~:/?@!$&'()*+,;=%-]/gu;
// What clients, proxies, CDNs or the commas of a srcset would change in a URL that is written out.
const FRAGILE = /\/\/|\/(?:\.|%2e){1,2}(?:[/?]|$)|\/https?:\/|^\/|^$|[?,]$/i;

/**
 * Check the server's URL, and return it without a slash at its end.
 * @param {string} base
 */
export function checkBase(base) {
  if (!BASE.test(base)) throw new TypeError("base must be an http:// or https:// URL");
  return base.replace(/\/+$/, "");
}

/**
 * Decode a key in hexadecimal.
 * @param {string} key
 */
export function decodeKey(key) {
  if (typeof key !== "string" || !KEY.test(key)) {
    throw new TypeError("key must be 16 to 128 bytes in hexadecimal");
  }
  return Uint8Array.from(key.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/**
 * Write the first 16 bytes of a MAC as base64url.
 * @param {Uint8Array} mac
 */
export function formatSignature(mac) {
  return toBase64Url(mac.subarray(0, 16));
}

/**
 * Write the path of a link, all but its signature. Throws for a source or step that no server takes.
 * @param {string} source
 * @param {readonly string[]} steps
 */
export function linkPath(source, steps) {
  steps.forEach(stepName);
  return `/${[...steps, encodeSource(source)].join("/")}`;
}

/**
 * Write a step, with its values percent-encoded: `step("text", "50 % off", { size: 40 })`.
 * @param {string} name
 * @param {...(Value | Readonly<Record<string, Value>>)} values The last one may be fields by name.
 * @returns {string}
 */
export function step(name, ...values) {
  if (!NAME.test(name)) throw new TypeError(`step: ${JSON.stringify(name)} is not a name of a step`);
  const last = values.at(-1);
  const fields = isRecord(last) ? Object.entries(last) : [];
  const positional = /** @type {Value[]} */ (isRecord(last) ? values.slice(0, -1) : values);
  const named = fields.map(([field, value]) => `${field}=${formatValue(value)}`);
  return [name, ...positional.map(formatValue), ...named].join(":");
}

/**
 * Plan one link for each width that the original and the box allow, smallest first.
 * @param {string} source
 * @param {readonly string[]} steps They may not change the size.
 * @param {SrcsetOptions} options
 * @returns {Plan[]}
 */
export function planCandidates(source, steps, options) {
  for (const one of steps) {
    const name = stepName(one);
    if (!SAME_SIZE_STEPS.has(name)) {
      throw new TypeError(
        `srcset: ${name} may change the size; use widths, ratio, maxWidth and maxHeight instead`,
      );
    }
  }
  const { original, ratio, crop = "smart" } = options;
  if (crop !== "smart" && crop !== "center") throw new TypeError("crop must be smart or center");
  const operation = crop === "smart" ? "smart_crop" : "resize";
  const [across, down] = ratio ?? [original.width, original.height];
  return trueWidths(options, across, down).map((width) => {
    const height = Math.max(1, Math.floor((2 * width * down + across) / (2 * across)));
    const resize = ratio ? `${operation}:${width}:${height}` : `resize:${width}`;
    return { path: linkPath(source, [resize, ...steps]), width, height };
  });
}

/**
 * Plan the candidates of each format of a picture.
 * @param {string} source
 * @param {readonly string[]} steps
 * @param {PictureOptions} options
 */
export function planPicture(source, steps, options) {
  const formats = options.formats ?? ["avif", "webp", "jpeg"];
  if (steps.some((one) => stepName(one) === "convert")) {
    throw new TypeError("picture: name the formats in formats, not in a convert step");
  }
  if (!formats.length || !formats.every((format) => FORMATS.includes(format))) {
    throw new TypeError(`picture: formats must be some of ${FORMATS.join(", ")}`);
  }
  return formats.map((format) => ({
    format,
    plans: planCandidates(source, [...steps, `convert:${format}`], options),
  }));
}

/**
 * @param {{ format: string, candidates: Candidate[] }[]} formats
 * @param {string} [sizes]
 * @returns {Picture}
 */
export function assemblePicture(formats, sizes = "100vw") {
  const images = [...formats];
  const fallback = /** @type {Candidate[]} */ (images.pop()?.candidates);
  const largest = /** @type {Candidate} */ (fallback.at(-1));
  return {
    sources: images.map(({ format, candidates }) => ({
      type: `image/${format}`,
      srcset: joinCandidates(candidates),
      sizes,
    })),
    img: {
      src: largest.url,
      srcset: joinCandidates(fallback),
      sizes,
      width: largest.width,
      height: largest.height,
    },
  };
}

/** @param {readonly Candidate[]} candidates */
export function joinCandidates(candidates) {
  return candidates.map(({ url, width }) => `${url} ${width}w`).join(", ");
}

/**
 * The widths, and the largest width that original and box allow in that shape.
 * @param {SrcsetOptions} options
 * @param {number} across
 * @param {number} down
 */
function trueWidths(options, across, down) {
  const { original, widths = DEFAULT_WIDTHS, maxWidth = MAX_SIDE, maxHeight = MAX_SIDE } = options;
  checkWhole("original", [original?.width, original?.height]);
  checkWhole("ratio", [across, down]);
  checkWhole("widths", widths);
  checkWhole("maxWidth", [maxWidth]);
  checkWhole("maxHeight", [maxHeight]);
  const boxWidth = Math.min(original.width, maxWidth, MAX_SIDE);
  const boxHeight = Math.min(original.height, maxHeight, MAX_SIDE);
  const largest = Math.min(boxWidth, Math.floor((boxHeight * across) / down));
  if (!largest) {
    throw new TypeError("srcset: not one pixel of that shape fits into the original and the box");
  }
  const smaller = [...new Set(widths)].filter((width) => width < largest);
  return [...smaller.sort((a, b) => a - b), largest];
}

/**
 * @param {string} name
 * @param {readonly unknown[]} values
 */
function checkWhole(name, values) {
  const isWhole = (/** @type {unknown} */ value) =>
    Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 1_000_000;
  if (!values.every(isWhole)) {
    throw new TypeError(`srcset: ${name} must be whole numbers from 1 to 1000000`);
  }
}

/** @param {string} text */
function stepName(text) {
  const match = STEP.exec(text);
  if (!match?.[1] || RESERVED.has(match[1])) {
    throw new TypeError(
      `step ${JSON.stringify(String(text).slice(0, 60))} is not written as in a link, such as ` +
        "resize:800:600; use step() to encode its values",
    );
  }
  return match[1];
}

/**
 * @param {Value} value
 * @returns {string}
 */
function formatValue(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(formatValue).join(",");
  if (typeof value === "string") return percentEncode(value);
  if (typeof value === "number" && !/^-?[0-9]+(\.[0-9]+)?$/.test(String(value))) {
    throw new TypeError(`step: the number ${value} cannot be written in a link`);
  }
  return String(value);
}

/** @param {string} source */
function encodeSource(source) {
  if (CONTROL.test(source)) throw new TypeError("source contains a control character");
  const url = HTTP_URL.exec(source);
  if (url) return encodeUrl(String(url[1]).toLowerCase(), String(url[2]), String(url[3]));
  const [, alias, path] = ALIAS.exec(source) ?? [];
  if (!alias || !path || RESERVED.has(alias)) {
    throw new TypeError("source must be an http:// or https:// URL, or ALIAS:path");
  }
  if (FRAGILE.test(path)) return `b64:${toBase64Url(new TextEncoder().encode(source))}`;
  return `${alias}:${path.split("/").map(percentEncode).join("/")}`;
}

/**
 * @param {string} scheme
 * @param {string} host
 * @param {string} target
 */
function encodeUrl(scheme, host, target) {
  if (`${host}${target}`.includes("#")) {
    throw new TypeError("source has a fragment; remove it, or write # as %23");
  }
  if (`${host}${target}`.includes("\\") || /[ @]/.test(host)) {
    throw new TypeError("source has a backslash, a user name or a space in its host");
  }
  const encoded = target.replace(UNSAFE, percentEncode);
  const text = `${scheme}://${host}${encoded}`;
  const isSafe = host.search(UNSAFE) < 0 && !FRAGILE.test(host + encoded);
  return isSafe ? text : `b64:${toBase64Url(new TextEncoder().encode(text))}`;
}

/** @param {string} text */
function percentEncode(text) {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** @param {Uint8Array} bytes */
function toBase64Url(bytes) {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, Value>}
 */
function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
