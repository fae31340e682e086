// The steps for what frameworks ask: a width, a height, a fit, a format and a quality.

import { FORMATS, MAX_SIDE } from "./links.js";

/** @typedef {{ url(source: string, ...steps: string[]): string }} SyncSigner A `Signer` of
 *   `framekeep/node`: frameworks want their URLs at once. */

/**
 * @typedef {object} Sizing
 * @property {number | string | undefined} [width] In pixels.
 * @property {number | string | undefined} [height] In pixels.
 * @property {string | undefined} [fit] `cover` (the default), `contain`, `inside` or `fill`.
 * @property {string | undefined} [format] `auto` (the default), or a format.
 * @property {number | string | undefined} [quality] From 1 to 100.
 */

// None of them enlarges.
const FITS = new Map([
  ["cover", "fill-down"],
  ["contain", "fit"],
  ["inside", "fit"],
  ["scale-down", "fit"],
  ["none", "fit"],
  ["fill", "force"],
]);

/**
 * Write the steps. The image is never larger than its original; `cover` keeps the subject.
 * @param {Sizing} sizing
 */
export function sizingSteps({ width, height, fit = "cover", format = "auto", quality }) {
  const across = wholeNumber("width", width, MAX_SIDE);
  const down = wholeNumber("height", height, MAX_SIDE);
  const level = wholeNumber("quality", quality, 100);
  const kind = FITS.get(fit);
  if (!kind) throw new TypeError(`fit must be one of ${[...FITS.keys()].join(", ")}`);
  const name = format === "jpg" ? "jpeg" : format;
  if (name !== "auto" && !FORMATS.includes(name)) {
    throw new TypeError(`format must be auto or one of ${FORMATS.join(", ")}`);
  }
  const gravity = kind === "fill-down" ? ":smart" : "";
  const steps = [];
  if (across && down) steps.push(`thumbnail:${across}:${down}:${kind}${gravity}`);
  else if (across || down) steps.push(`thumbnail:${across ?? ""}:${down ?? ""}`.replace(/:$/, ""));
  steps.push(level ? `convert:${name}:${level}` : `convert:${name}`);
  return steps;
}

/**
 * Make the source of a path of the site: `/a.jpg` with the origin `https://www.example.com` or
 * `media:`. Anything else is a source already.
 * @param {string} src
 * @param {string} [origin]
 */
export function resolveSource(src, origin) {
  if (!src.startsWith("/") || src.startsWith("//")) {
    return src.startsWith("//") ? `https:${src}` : src;
  }
  if (!origin) throw new TypeError(`${src} is a path of your site: set origin to the site's URL`);
  return origin.endsWith(":") ? `${origin}${src.slice(1)}` : origin.replace(/\/+$/, "") + src;
}

/**
 * @param {string} name
 * @param {unknown} value
 * @param {number} largest
 */
function wholeNumber(name, value, largest) {
  if (value === undefined || value === null || value === "") return undefined;
  const number = Math.round(Number(value));
  if (!(number >= 1 && number <= largest)) {
    throw new TypeError(`${name} must be a number from 1 to ${largest}`);
  }
  return number;
}
