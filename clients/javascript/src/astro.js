// An image service for Astro. It runs where pages are rendered, so it signs.

import { chooseSizing } from "./rules.js";
import { resolveSource, sizingSteps } from "./sizing.js";

/** @typedef {{ src: string, width: number, height: number }} Metadata An imported image. */
/** @typedef {Record<string, any> & { src: string | Metadata }} Transform */

/**
 * @param {import("./sizing.js").SyncSigner} signer
 * @param {{ origin?: string }} [options] `origin`: where your site's imported images are.
 */
export function imageService(signer, { origin } = {}) {
  return {
    /** @param {any} transform @returns {string} */
    getURL(transform) {
      const { src, width, height, fit, format, quality } = /** @type {Transform} */ (transform);
      const text = typeof src === "string" ? src : src.src;
      const level = Number(quality) || undefined; // Astro has names such as `high`, too
      const chosen = chooseSizing(text, { width, height, format, quality: level });
      if (chosen) return chosen;
      const source = resolveSource(text, origin);
      return signer.url(source, ...sizingSteps({ width, height, fit, format, quality: level }));
    },

    /**
     * @param {any} transform
     * @returns {{ transform: any, descriptor: string, attributes: Record<string, any> }[]}
     */
    getSrcSet(transform) {
      const { widths, densities, ...rest } = /** @type {Transform} */ (transform);
      const box = trueBox(rest);
      const width = box.width;
      if (!width) return [];
      const sized = (/** @type {number} */ one, /** @type {string} */ descriptor) => ({
        transform: {
          ...rest,
          width: one,
          height: box.height && Math.max(1, Math.round((one * box.height) / width)),
        },
        descriptor,
        attributes: {},
      });
      if (widths) {
        const asked = widths.map((/** @type {number} */ one) => Math.min(Math.round(one), box.largest));
        const sorted = [...new Set(/** @type {number[]} */ (asked))].sort((a, b) => a - b);
        return sorted.map((one) => sized(one, `${one}w`));
      }
      const factors = (densities ?? []).map(parseDensity);
      return factors
        .filter((/** @type {number} */ factor) => Math.round(width * factor) <= box.largest)
        .map((/** @type {number} */ factor) => sized(Math.round(width * factor), `${factor}x`));
    },

    /** @param {any} transform @returns {Record<string, any>} */
    getHTMLAttributes(transform) {
      const { src, format, quality, fit, position, widths, densities, layout, ...attributes } =
        /** @type {Transform} */ (transform);
      const { width, height } = boxOf(transform);
      return {
        ...attributes,
        width,
        height,
        loading: attributes.loading ?? "lazy",
        decoding: attributes.decoding ?? "async",
      };
    },
  };
}

/** @param {Transform} transform @returns {{ width?: number, height?: number }} */
function boxOf({ src, width, height }) {
  const original = typeof src === "string" ? undefined : src;
  if (!original) return { width, height };
  if (!width && !height) return { width: original.width, height: original.height };
  const ratio = original.width / original.height;
  return {
    width: width ?? Math.round(height * ratio),
    height: height ?? Math.round(width / ratio),
  };
}

/**
 * The size that the image really gets, and the width up to which its shape fits into the original. The
 * size of a remote image is not known: nothing is larger than the box that the page gives it.
 * @param {Transform} transform
 * @returns {{ width?: number, height?: number, largest: number }}
 */
function trueBox(transform) {
  const { width, height } = boxOf(transform);
  const { src, fit = "cover" } = transform;
  if (typeof src === "string") {
    // Without the original's shape, only a crop has the width of its box.
    const isKnown = width && (!height || fit === "cover" || fit === "fill");
    return isKnown ? { width, height, largest: width } : { largest: 0 };
  }
  if (!width || !height) return { largest: 0 };
  if (fit === "cover" || fit === "fill") {
    const largest = Math.min(src.width, Math.floor((src.height * width) / height));
    return { width, height, largest };
  }
  const shown = Math.min(width, src.width, Math.floor((height * src.width) / src.height));
  return { width: shown, largest: src.width };
}

/** @param {unknown} density Such as `2` or `"2x"`. */
function parseDensity(density) {
  return typeof density === "number" ? density : Number.parseFloat(String(density));
}
