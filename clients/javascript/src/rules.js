// Rule links: fields that are left open with the values that whoever opens the link may choose. Nothing
// here knows a key, so pages may import it in browsers.

import { RESERVED, encodeSource, stepPattern, toBase64Url } from "./links.js";

const GRID = "[A-Za-z0-9._-]+(?:,[A-Za-z0-9._-]+)*";
const OPEN = new RegExp(`(:(?:[a-z][a-z0-9_]*=)?)\\{(${GRID})\\}(?=:|$)`, "g");
const OPEN_IN_LINK = new RegExp(`^(?:([a-z][a-z0-9_]*)=)?(?:%7B|\\{)(${GRID})(?:%7D|\\})$`, "i");
const RANGE = /^([0-9]+)\.\.([0-9]+)(?:\.\.([0-9]+))?$/;
const NUMBER = /^[0-9]+(?:\.[0-9]+)?$/;
const SIGNATURE = /^(?:_|[A-Za-z0-9_-]{22}|[A-Za-z0-9_-]{43})$/;
const MAX_GRID = 10_000;

/** @typedef {{ name: string, values: string[] }} OpenField `name` is `width`, `height`, `format`,
 *   `quality` or `dpr` where that is known, and otherwise the step's own, such as `blur`. Shares of the
 *   picture, as in `resize:{0.25,0.5}`, are no `width`. */
/** @typedef {{ before: string, after: string, fields: OpenField[] }} Rule */

// What the values of a step mean, by their places.
/** @type {Record<string, readonly string[]>} */
const FIELDS = {
  resize: ["width", "height"],
  smart_crop: ["width", "height"],
  thumbnail: ["width", "height"],
  convert: ["format", "quality"],
};
/** @type {Record<string, string>} */
const NAMED = { width_in_px: "width", height_in_px: "height" };

/**
 * Write the path of a rule link, all but its signature.
 * @param {string} source
 * @param {readonly string[]} steps
 */
export function rulePath(source, steps) {
  const written = steps.map((one) => one.replace(OPEN, "$1%7B$2%7D"));
  for (const one of written) {
    const name = stepPattern.exec(one)?.[1];
    if (!name || RESERVED.has(name)) {
      throw new TypeError(
        `step ${JSON.stringify(String(one).slice(0, 60))} is not written as in a rule link, such as ` +
          "resize:{320,640,1280}",
      );
    }
  }
  if (written.every((one, at) => one === steps[at])) {
    throw new TypeError(
      "rule: no field is left open; write the values that it may have, such as resize:{320,640,1280}",
    );
  }
  let encoded = encodeSource(source);
  if (/%7B|%7D|[{}]/i.test(encoded) && !encoded.startsWith("b64:")) {
    const text = /^https?:\/\//.test(encoded) ? encoded : source;
    encoded = `b64:${toBase64Url(new TextEncoder().encode(text))}`;
  }
  return `/${[...written, encoded].join("/")}`;
}

/**
 * Choose the values of a rule link's open fields: all in their order, or by their names. This needs no
 * key. Values that were chosen before are replaced.
 *
 * A number that is not among the values of its field becomes the next larger one, or the largest.
 * @param {string} link
 * @param {readonly (string | number)[] | Readonly<Record<string, string | number | undefined>>} values
 *   Such as `[600, "webp"]`, or `{ width: 600, format: "webp" }`.
 * @returns {string}
 */
export function choose(link, values) {
  const { before, after, fields } = readRule(link);
  const wanted = Array.isArray(values)
    ? values
    : fields.map(({ name }) => /** @type {Record<string, string | number>} */ (values)[name]);
  if (wanted.length !== fields.length) {
    throw new TypeError(
      `choose: the link has ${fields.length} open fields, and ${wanted.length} values are given`,
    );
  }
  const chosen = fields.map((field, at) => nearest(field, wanted[at]));
  return `${before}/choose:${chosen.join(":")}/${after}`;
}

/**
 * List the fields that a rule link leaves open, with the values that they may have; none for any other
 * link.
 * @param {string} link
 * @returns {OpenField[]}
 */
export function openFields(link) {
  return findRule(link)?.fields ?? [];
}

/**
 * Choose by names, as frameworks ask. What they do not ask for: the largest size, the quality 75, the
 * format `auto` or else the first one. Undefined for a link that is not a rule link.
 * @param {string} link
 * @param {import("./sizing.js").Sizing & { dpr?: number | string | undefined }} sizing
 * @returns {string | undefined}
 */
export function chooseSizing(link, sizing) {
  const fields = openFields(link);
  if (!fields.length) return undefined;
  const format = sizing.format === "jpg" ? "jpeg" : sizing.format;
  const asked = /** @type {Record<string, string | number | undefined>} */ ({ ...sizing, format });
  const wanted = fields.map(({ name, values }) => {
    if (asked[name]) return asked[name];
    if (name === "width" || name === "height") return Number.MAX_SAFE_INTEGER;
    if (name === "quality") return 75;
    if (name === "dpr") return 1;
    if (name === "format") return values.includes("auto") ? "auto" : values[0];
    throw new TypeError(`${name} is required: the link leaves it open`);
  });
  return choose(link, /** @type {(string | number)[]} */ (wanted));
}

/** @param {string} link */
function readRule(link) {
  const rule = findRule(link);
  if (!rule) throw new TypeError("choose: this is not a rule link");
  return rule;
}

/**
 * The signature is the nearest segment before the first open field that looks like one.
 * @param {string} link
 * @returns {Rule | undefined}
 */
function findRule(link) {
  const segments = String(link).split("/");
  const fields = segments.map(readFields);
  const first = fields.findIndex((found) => found.length);
  let signature = first;
  while (signature > 0 && !SIGNATURE.test(String(segments[signature]))) signature -= 1;
  if (signature < 1) return undefined;
  const after = segments.slice(signature + 1);
  if (after[0]?.startsWith("choose:")) after.shift();
  return {
    before: segments.slice(0, signature + 1).join("/"),
    after: after.join("/"),
    fields: fields.slice(signature).flat(),
  };
}

/**
 * @param {string} segment
 * @returns {OpenField[]}
 */
function readFields(segment) {
  const [step = "", ...values] = segment.split(":");
  return values.flatMap((value, at) => {
    const [, own, text] = OPEN_IN_LINK.exec(value) ?? [];
    if (!text) return [];
    const known = own ? (NAMED[own] ?? own) : (FIELDS[step]?.[at] ?? step);
    const values = expand(text);
    // Below 1 a side is a share of the picture, which no width of a page chooses.
    const isShare = ["width", "height"].includes(known) && values.some((one) => Number(one) < 1);
    return [{ name: isShare ? step : known, values }];
  });
}

/** @param {string} text */
function expand(text) {
  const range = RANGE.exec(text);
  if (!range) return text.split(",");
  const [start = 0, end = 0, step = 0] = [range[1], range[2], range[3] ?? "1"].map(Number);
  const count = step ? Math.floor((end - start) / step) + 1 : 0;
  if (!(count > 0 && count <= MAX_GRID)) {
    throw new TypeError(`choose: ${text} is not a range of 1 to ${MAX_GRID} values`);
  }
  return Array.from({ length: count }, (_, at) => String(start + at * step));
}

/**
 * @param {OpenField} field
 * @param {string | number | undefined} value
 * @returns {string}
 */
function nearest({ name, values }, value) {
  const text = String(value);
  if (values.includes(text)) return text;
  const numbers = values.filter((one) => NUMBER.test(one)).sort((a, b) => Number(a) - Number(b));
  if (!numbers.length || !NUMBER.test(text)) {
    const given = value === undefined ? "no value is given; it" : `${JSON.stringify(text.slice(0, 40))}`;
    const verb = value === undefined ? "may be one of" : "is not one of";
    throw new TypeError(`choose: ${name}: ${given} ${verb} ${values.join(", ")}`);
  }
  const larger = numbers.find((one) => Number(one) >= Number(text));
  return larger ?? String(numbers.at(-1));
}
