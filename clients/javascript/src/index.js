// Signs with Web Crypto, in every JavaScript runtime. The key belongs on the server.

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

/** Builds links that are signed with a key of the server. Every method returns a promise. */
export class Signer {
  #base;
  #bytes;
  /** @type {Promise<CryptoKey> | undefined} */
  #key;

  /**
   * @param {string} base The server's URL, with path prefix and mount point if it has them.
   * @param {string | null} key 16 to 128 bytes in hexadecimal. With `null`, links are unsigned;
   *   servers take them only with `FRAMEKEEP_LINKS_ALLOW_UNSIGNED`.
   */
  constructor(base, key) {
    this.#base = checkBase(base);
    this.#bytes = key === null ? null : decodeKey(key);
  }

  /** The server's URL. */
  get base() {
    return this.#base;
  }

  /**
   * Build the link of a source: an http(s) URL, or `ALIAS:path`.
   * @param {string} source
   * @param {...string} steps
   * @returns {Promise<string>}
   */
  async url(source, ...steps) {
    return this.#sign(linkPath(source, steps));
  }

  /**
   * Build a rule link: some values are left open, and `choose` fills them in, without a key.
   *
   * `rule("media:users/42.jpg", "resize:{320,640,1280}", "convert:{avif,webp,jpeg}")`
   * @param {string} source
   * @param {...string} steps
   */
  async rule(source, ...steps) {
    return this.#sign(rulePath(source, steps));
  }

  /**
   * Build one link for each width that the original and the box allow, smallest first.
   * @param {string} source
   * @param {readonly string[]} steps
   * @param {SrcsetOptions} options
   * @returns {Promise<Candidate[]>}
   */
  async candidates(source, steps, options) {
    return this.#signAll(planCandidates(source, steps, options));
  }

  /**
   * Build a srcset attribute.
   * @param {string} source
   * @param {readonly string[]} steps
   * @param {SrcsetOptions} options
   */
  async srcset(source, steps, options) {
    return joinCandidates(await this.candidates(source, steps, options));
  }

  /**
   * Build the attributes of a `<picture>`.
   * @param {string} source
   * @param {readonly string[]} steps
   * @param {PictureOptions} options
   * @returns {Promise<Picture>}
   */
  async picture(source, steps, options) {
    const kinds = planPicture(source, steps, options).map(async ({ plans, ...kind }) => ({
      ...kind,
      candidates: await this.#signAll(plans),
    }));
    return assemblePicture(await Promise.all(kinds));
  }

  /** @param {string} path */
  async #sign(path) {
    if (this.#bytes === null) return `${this.#base}/_${path}`;
    this.#key ??= crypto.subtle.importKey(
      "raw",
      this.#bytes,
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["sign"],
    );
    const mac = await crypto.subtle.sign("HMAC", await this.#key, new TextEncoder().encode(path));
    return `${this.#base}/${formatSignature(new Uint8Array(mac))}${path}`;
  }

  /** @param {import("./links.js").Plan[]} plans */
  async #signAll(plans) {
    return Promise.all(
      plans.map(async ({ path, width, height }) => ({ url: await this.#sign(path), width, height })),
    );
  }
}
