// Signs with Node's `node:crypto`, at once; Bun, Deno and Workers with Node compatibility have it too.

import { createHmac } from "node:crypto";
import {
  assemblePicture,
  checkBase,
  decodeKey,
  formatSignature,
  joinCandidates,
  linkPath,
  planCandidates,
  planPicture,
} from "./links.js";
import { rulePath } from "./rules.js";

export { DEFAULT_WIDTHS, step, widthGrid } from "./links.js";
export { choose, openFields } from "./rules.js";

/** @typedef {import("./links.js").Candidate} Candidate */
/** @typedef {import("./links.js").Picture} Picture */
/** @typedef {import("./links.js").PictureOptions} PictureOptions */
/** @typedef {import("./links.js").SrcsetOptions} SrcsetOptions */

/** Builds links that are signed with a key of the server. */
export class Signer {
  #base;
  #key;

  /**
   * @param {string} base The server's URL, with path prefix and mount point if it has them.
   * @param {string | null} key 16 to 128 bytes in hexadecimal. With `null`, links are unsigned;
   *   servers take them only with `FRAMEKEEP_LINKS_ALLOW_UNSIGNED`.
   */
  constructor(base, key) {
    this.#base = checkBase(base);
    this.#key = key === null ? null : decodeKey(key);
  }

  /** The server's URL. */
  get base() {
    return this.#base;
  }

  /**
   * Build the link of a source: an http(s) URL, or `ALIAS:path`.
   * @param {string} source
   * @param {...string} steps
   */
  url(source, ...steps) {
    return this.#sign(linkPath(source, steps));
  }

  /**
   * Build a rule link: some values are left open, and `choose` fills them in, without a key.
   *
   * `rule("media:users/42.jpg", "resize:{320,640,1280}", "convert:{avif,webp,jpeg}")`
   * @param {string} source
   * @param {...string} steps
   */
  rule(source, ...steps) {
    return this.#sign(rulePath(source, steps));
  }

  /**
   * Build one link for each width that the original and the box allow, smallest first.
   * @param {string} source
   * @param {readonly string[]} steps
   * @param {SrcsetOptions} options
   * @returns {Candidate[]}
   */
  candidates(source, steps, options) {
    return this.#signAll(planCandidates(source, steps, options));
  }

  /**
   * Build a srcset attribute.
   * @param {string} source
   * @param {readonly string[]} steps
   * @param {SrcsetOptions} options
   */
  srcset(source, steps, options) {
    return joinCandidates(this.candidates(source, steps, options));
  }

  /**
   * Build the attributes of a `<picture>`.
   * @param {string} source
   * @param {readonly string[]} steps
   * @param {PictureOptions} options
   * @returns {Picture}
   */
  picture(source, steps, options) {
    const kinds = planPicture(source, steps, options).map(({ plans, ...kind }) => ({
      ...kind,
      candidates: this.#signAll(plans),
    }));
    return assemblePicture(kinds);
  }

  /** @param {string} path */
  #sign(path) {
    if (this.#key === null) return `${this.#base}/_${path}`;
    const mac = createHmac("sha256", this.#key).update(path).digest();
    return `${this.#base}/${formatSignature(mac)}${path}`;
  }

  /** @param {import("./links.js").Plan[]} plans */
  #signAll(plans) {
    return plans.map(({ path, width, height }) => ({ url: this.#sign(path), width, height }));
  }
}
