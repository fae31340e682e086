// What links are made of: sources, steps and the sizes of a srcset. Nothing here knows a key.

/** @typedef {string | number | boolean | null} Scalar */
/** @typedef {Scalar | readonly (string | number)[]} Value */

/**
 * @typedef {object} SrcsetOptions
 * @property {{ width: number, height: number }} original The original's size as it is shown, as
 *   `info` links tell.
 * @property {readonly number[]} [widths] In pixels; without them `DEFAULT_WIDTHS`.
 * @property {readonly [number, number]} [ratio] Aspect ratio to crop to, such as `[16, 9]`; without
 *   one nothing is cropped.
 * @property {"smart" | "center"} [crop] What to keep with a ratio: the subject (the default), or the
 *   center.
 * @property {number} [maxWidth] The box' width in pixels.
 * @property {number} [maxHeight] The box' height in pixels.
 */

/**
 * @typedef {object} Art Art direction: the aspect ratio that a picture has where a media condition holds.
 * @property {string} media Such as `(max-width: 40em)`.
 * @property {readonly [number, number]} ratio
 * @property {string} [sizes] Without it, that of the picture.
 */

/**
 * @typedef {SrcsetOptions & { formats?: readonly string[], sizes?: string, art?: readonly Art[] }} PictureOptions
 * The last of the formats is that of the `<img>`. The first condition of `art` that holds counts.
 */

/**
 * @typedef {object} PictureSource The attributes of a `<source>`.
 * @property {string} [media]
 * @property {string} type
 * @property {string} srcset
 * @property {string} sizes
 * @property {number} width That of the largest image, as the height.
 * @property {number} height
 */

/** @typedef {{ url: string, width: number, height: number }} Candidate An image of a srcset. */
/** @typedef {{ path: string, width: number, height: number }} Plan A candidate without signature. */

/**
 * @typedef {object} Picture
 * @property {PictureSource[]} sources
 * @property {{ src: string, srcset: string, sizes: string, width: number, height: number }} img
 *   Width and height are those of the largest image.
 */

/** Each has about 30 % more bytes than the one before: bytes grow with pixels to the power of 0.8. */
export const DEFAULT_WIDTHS = Object.freeze([
  320, 380, 450, 530, 620, 730, 860, 1020, 1200, 1420, 1680, 1980, 2340, 2760, 3250, 3840,
]);
export const FORMATS = Object.freeze(["avif", "gif", "heif", "jpeg", "jxl", "png", "webp"]);
/** The longest side that the server's operations take, in pixels. */
export const MAX_SIDE = 16384;

/** The steps after which a picture has the size that it had before. */
export const SAME_SIZE_STEPS = new Set(
  (
    "attachment auto_contrast blur blur_detections contrast convert debug denoise encode expires " +
    "fallback filename flip flop gamma gradient grayscale invert_colors keep modulate opacity " +
    "pixelate pixelate_detections quality remove_background remove_transparency sharpen " +
    "shift_colors strip tag text threshold tint v watermark"
  ).split(" "),
);

const KEY = /^(?:[0-9A-Fa-f]{2}){16,128}$/;
const BASE = /^https?:\/\/[^/]/i;
const NAME = /^[a-z][a-z0-9_]*$/;
export const stepPattern = /^([a-z][a-z0-9_]*)(?::(?:[A-Za-z0-9._~!$&'()*+,;=@:-]|%[0-9A-Fa-f]{2})*)?$/;
const HTTP_URL = /^(https?):\/\/([^/?]+)(.*)$/is;
const ALIAS = /^([a-z][a-z0-9_-]{0,31}):(.+)$/s;
export const RESERVED = new Set(["b64", "data", "http", "https", "upload"]);
const CONTROL = /[\x00-\x1f\x7f]/;
const UNSAFE = /%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9._~:/?@!$&'()*+,;=%-]/gu;
// What clients, proxies, CDNs or the commas of a srcset would change in a URL that is written out.
const FRAGILE = /\/\/|\/(?:\.|%2e){1,2}(?:[/?]|$)|\/https?:\/|^\/|^$|[?,]$/i;

const COLOR = /^#(?:[0-9a-f]{3}|[0-9a-f]{6})$/i;
const COLOR_FIELD = /^(?:.*_)?(?:color|background)$/;
// Their values may be any text, so one that begins with # is no color.
const FREE_TEXT = new Set(["filename", "tag", "text", "v"]);

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
 * Write a step, with its values percent-encoded: `step("text", "50 % off", { size: 40 })`. Colors are
 * written without `#`: `#f80` as `FF8800`.
 * @param {string} name
 * @param {...(Value | Readonly<Record<string, Value>>)} values The last one may be fields by name.
 * @returns {string}
 */
export function step(name, ...values) {
  if (!NAME.test(name)) throw new TypeError(`step: ${JSON.stringify(name)} is not a name of a step`);
  const last = values.at(-1);
  const fields = isRecord(last) ? Object.entries(last) : [];
  const positional = /** @type {Value[]} */ (isRecord(last) ? values.slice(0, -1) : values);
  const isFree = FREE_TEXT.has(name);
  const texts = positional.map((value) => formatValue(isFree ? value : bareColor(value)));
  const named = fields.map(
    ([field, value]) => `${field}=${formatValue(COLOR_FIELD.test(field) ? bareColor(value) : value)}`,
  );
  return [name, ...texts, ...named].join(":");
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
 * Write the widths of a srcset as the open field of a rule: `{320,640,1000}`.
 * @param {SrcsetOptions} options
 */
export function widthGrid(options) {
  const [across, down] = options.ratio ?? [options.original.width, options.original.height];
  return `{${trueWidths(options, across, down).join(",")}}`;
}

/** @typedef {{ media?: string, format: string, sizes: string }} SourceKind */

/**
 * Plan the candidates of each source of a picture.
 * @param {string} source
 * @param {readonly string[]} steps
 * @param {PictureOptions} options
 * @returns {(SourceKind & { plans: Plan[] })[]}
 */
export function planPicture(source, steps, options) {
  const { formats = ["avif", "webp", "jpeg"], sizes = "100vw", art = [] } = options;
  if (steps.some((one) => stepName(one) === "convert")) {
    throw new TypeError("picture: name the formats in formats, not in a convert step");
  }
  if (!formats.length || !formats.every((format) => FORMATS.includes(format))) {
    throw new TypeError(`picture: formats must be some of ${FORMATS.join(", ")}`);
  }
  if (!art.every(({ media }) => typeof media === "string" && media.trim())) {
    throw new TypeError("picture: media must be a media condition, such as (max-width: 40em)");
  }
  const shapes = [...art, { media: undefined, ratio: options.ratio, sizes }];
  return shapes.flatMap(({ media, ratio, sizes: own = sizes }) =>
    formats.map((format) => ({
      media,
      format,
      sizes: own,
      plans: planCandidates(source, [...steps, `convert:${format}`], { ...options, ratio }),
    })),
  );
}

/**
 * @param {(SourceKind & { candidates: Candidate[] })[]} kinds The last one is that of the `<img>`.
 * @returns {Picture}
 */
export function assemblePicture(kinds) {
  const sources = kinds.map(({ media, format, sizes, candidates }) => {
    const { width, height } = /** @type {Candidate} */ (candidates.at(-1));
    const srcset = joinCandidates(candidates);
    return { ...(media && { media }), type: `image/${format}`, srcset, sizes, width, height };
  });
  const { type, ...img } = /** @type {PictureSource} */ (sources.pop());
  const src = /** @type {Candidate} */ (kinds.at(-1)?.candidates.at(-1)).url;
  return { sources, img: { src, ...img } };
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
  const { original, widths, maxWidth = MAX_SIDE, maxHeight = MAX_SIDE } = options;
  checkWhole("original", [original?.width, original?.height]);
  checkWhole("ratio", [across, down]);
  checkWhole("widths", widths ?? []);
  checkWhole("maxWidth", [maxWidth]);
  checkWhole("maxHeight", [maxHeight]);
  const boxWidth = Math.min(original.width, maxWidth, MAX_SIDE);
  const boxHeight = Math.min(original.height, maxHeight, MAX_SIDE);
  const largest = Math.min(boxWidth, Math.floor((boxHeight * across) / down));
  if (!largest) {
    throw new TypeError("srcset: not one pixel of that shape fits into the original and the box");
  }
  // Less than half a step below the largest is too near to be worth an image.
  const margin = widths ? 11 : 12;
  const smaller = [...new Set(widths ?? DEFAULT_WIDTHS)].filter((width) => width * margin < largest * 11);
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
  const match = stepPattern.exec(text);
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
 * @returns {Value}
 */
function bareColor(value) {
  if (typeof value !== "string" || !COLOR.test(value)) return value;
  const digits = value.slice(1).toUpperCase();
  return digits.length === 6 ? digits : digits.replace(/./g, "$&$&");
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

/**
 * Write a source as the last part of a link.
 * @param {string} source
 */
export function encodeSource(source) {
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
export function toBase64Url(bytes) {
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
