/** @typedef {import("./links.js").Candidate} Candidate */
/** @typedef {import("./links.js").Picture} Picture */
/** @typedef {import("./links.js").PictureOptions} PictureOptions */
/** @typedef {import("./links.js").SrcsetOptions} SrcsetOptions */
/** Builds links that are signed with a key of the server. Every method returns a promise. */
export class Signer {
    /**
     * @param {string} base The server's URL, with path prefix and mount point if it has them.
     * @param {string | null} key 16 to 128 bytes in hexadecimal. With `null`, links are unsigned;
     *   servers take them only with `FRAMEKEEP_LINKS_ALLOW_UNSIGNED`.
     */
    constructor(base: string, key: string | null);
    /** The server's URL. */
    get base(): string;
    /**
     * Build the link of a source: an http(s) URL, or `ALIAS:path`.
     * @param {string} source
     * @param {...string} steps
     * @returns {Promise<string>}
     */
    url(source: string, ...steps: string[]): Promise<string>;
    /**
     * Build a rule link: some values are left open, and `choose` fills them in, without a key.
     *
     * `rule("media:users/42.jpg", "resize:{320,640,1280}", "convert:{avif,webp,jpeg}")`
     * @param {string} source
     * @param {...string} steps
     */
    rule(source: string, ...steps: string[]): Promise<string>;
    /**
     * Build one link for each width that the original and the box allow, smallest first.
     * @param {string} source
     * @param {readonly string[]} steps
     * @param {SrcsetOptions} options
     * @returns {Promise<Candidate[]>}
     */
    candidates(source: string, steps: readonly string[], options: SrcsetOptions): Promise<Candidate[]>;
    /**
     * Build a srcset attribute.
     * @param {string} source
     * @param {readonly string[]} steps
     * @param {SrcsetOptions} options
     */
    srcset(source: string, steps: readonly string[], options: SrcsetOptions): Promise<string>;
    /**
     * Build the attributes of a `<picture>`.
     * @param {string} source
     * @param {readonly string[]} steps
     * @param {PictureOptions} options
     * @returns {Promise<Picture>}
     */
    picture(source: string, steps: readonly string[], options: PictureOptions): Promise<Picture>;
    #private;
}
export type Candidate = import("./links.js").Candidate;
export type Picture = import("./links.js").Picture;
export type PictureOptions = import("./links.js").PictureOptions;
export type SrcsetOptions = import("./links.js").SrcsetOptions;
export { DEFAULT_WIDTHS, step, widthGrid } from "./links.js";
export { choose, openFields } from "./rules.js";
