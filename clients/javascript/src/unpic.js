// The functions that unpic has for each provider: `generate`, `extract` and `transform`.

import { chooseSizing } from "./rules.js";
import { sizingSteps } from "./sizing.js";

/** @typedef {{ width?: number | string, height?: number | string, format?: string, quality?: number | string, fit?: string }} Operations */

/**
 * @param {import("./sizing.js").SyncSigner & { base: string }} signer
 */
export function provider(signer) {
  /**
   * Build the link of an image that is not at the server yet.
   * @param {string | URL} src
   * @param {Operations} operations
   */
  const generate = (src, operations) => signer.url(String(src), ...sizingSteps(operations));

  /**
   * Read a link of the server; null for any other URL.
   * @param {string | URL} url
   * @returns {{ src: string, operations: Operations } | null}
   */
  const extract = (url) => {
    const text = String(url);
    if (!text.startsWith(`${signer.base}/`)) return null;
    const segments = text.slice(signer.base.length + 1).split("/");
    const at = segments.findIndex((segment, index) => index > 0 && isSource(segment));
    if (at < 0) return null;
    const steps = segments.slice(1, at).map((segment) => segment.split(":"));
    const find = (/** @type {string} */ name) => steps.find(([first]) => first === name) ?? [];
    const [, width, height] = find("thumbnail");
    const [, format, quality] = find("convert");
    const operations = { width, height, format, quality };
    const given = Object.entries(operations).filter(([, value]) => value);
    return { src: decodeSource(segments.slice(at).join("/")), operations: Object.fromEntries(given) };
  };

  /**
   * Build a link: of the same original where the URL is a link of the server already. In a rule link,
   * choose what it leaves open.
   * @param {string | URL} src
   * @param {Operations} operations
   */
  const transform = (src, operations) => {
    const chosen = chooseSizing(String(src), operations);
    if (chosen) return chosen;
    const link = extract(src);
    return link ? generate(link.src, { ...link.operations, ...operations }) : generate(src, operations);
  };

  return { generate, extract, transform };
}

/**
 * unpic's `transform` for rule links, without a key: browsers may use it.
 * @param {string | URL} src
 * @param {Operations} operations
 */
export function transformRule(src, operations) {
  return chooseSizing(String(src), operations) ?? String(src);
}

// Aliases have no fixed names; what this package writes before a source are these steps.
const OWN_STEPS = new Set(["thumbnail", "convert"]);

/** @param {string} segment */
function isSource(segment) {
  return segment.includes(":") && !OWN_STEPS.has(String(segment.split(":")[0]));
}

/** @param {string} text */
function decodeSource(text) {
  if (/^https?:/.test(text)) return text;
  if (!text.startsWith("b64:")) return decodeURIComponent(text);
  const binary = atob(text.slice(4).replace(/-/g, "+").replace(/_/g, "/"));
  return new TextDecoder().decode(Uint8Array.from(binary, (byte) => byte.charCodeAt(0)));
}
