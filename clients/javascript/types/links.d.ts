/**
 * Check the server's URL, and return it without a slash at its end.
 * @param {string} base
 */
export function checkBase(base: string): string;
/**
 * Decode a key in hexadecimal.
 * @param {string} key
 */
export function decodeKey(key: string): Uint8Array<ArrayBuffer>;
/**
 * Write the first 16 bytes of a MAC as base64url.
 * @param {Uint8Array} mac
 */
export function formatSignature(mac: Uint8Array): string;
/**
 * Write the path of a link, all but its signature. Throws for a source or step that no server takes.
 * @param {string} source
 * @param {readonly string[]} steps
 */
export function linkPath(source: string, steps: readonly string[]): string;
/**
 * Write a step, with its values percent-encoded: `step("text", "50 % off", { size: 40 })`. Colors are
 * written without `#`: `#f80` as `FF8800`.
 * @param {string} name
 * @param {...(Value | Readonly<Record<string, Value>>)} values The last one may be fields by name.
 * @returns {string}
 */
export function step(name: string, ...values: (Value | Readonly<Record<string, Value>>)[]): string;
/**
 * Plan one link for each width that the original and the box allow, smallest first.
 * @param {string} source
 * @param {readonly string[]} steps They may not change the size.
 * @param {SrcsetOptions} options
 * @returns {Plan[]}
 */
export function planCandidates(source: string, steps: readonly string[], options: SrcsetOptions): Plan[];
/**
 * Write the widths of a srcset as the open field of a rule: `{320,640,1000}`.
 * @param {SrcsetOptions} options
 */
export function widthGrid(options: SrcsetOptions): string;
/** @typedef {{ media?: string, format: string, sizes: string }} SourceKind */
/**
 * Plan the candidates of each source of a picture.
 * @param {string} source
 * @param {readonly string[]} steps
 * @param {PictureOptions} options
 * @returns {(SourceKind & { plans: Plan[] })[]}
 */
export function planPicture(source: string, steps: readonly string[], options: PictureOptions): (SourceKind & {
    plans: Plan[];
})[];
/**
 * @param {(SourceKind & { candidates: Candidate[] })[]} kinds The last one is that of the `<img>`.
 * @returns {Picture}
 */
export function assemblePicture(kinds: (SourceKind & {
    candidates: Candidate[];
})[]): Picture;
/** @param {readonly Candidate[]} candidates */
export function joinCandidates(candidates: readonly Candidate[]): string;
/**
 * Write a source as the last part of a link.
 * @param {string} source
 */
export function encodeSource(source: string): string;
/** @param {Uint8Array} bytes */
export function toBase64Url(bytes: Uint8Array): string;
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
export const DEFAULT_WIDTHS: readonly number[];
export const FORMATS: readonly string[];
/** The longest side that the server's operations take, in pixels. */
export const MAX_SIDE: 16384;
/** The steps after which a picture has the size that it had before. */
export const SAME_SIZE_STEPS: Set<string>;
export const stepPattern: RegExp;
export const RESERVED: Set<string>;
export type SourceKind = {
    media?: string;
    format: string;
    sizes: string;
};
export type Scalar = string | number | boolean | null;
export type Value = Scalar | readonly (string | number)[];
export type SrcsetOptions = {
    /**
     * The original's size as it is shown, as
     * `info` links tell.
     */
    original: {
        width: number;
        height: number;
    };
    /**
     * In pixels; without them `DEFAULT_WIDTHS`.
     */
    widths?: readonly number[] | undefined;
    /**
     * Aspect ratio to crop to, such as `[16, 9]`; without
     * one nothing is cropped.
     */
    ratio?: readonly [number, number] | undefined;
    /**
     * What to keep with a ratio: the subject (the default), or the
     * center.
     */
    crop?: "center" | "smart" | undefined;
    /**
     * The box' width in pixels.
     */
    maxWidth?: number | undefined;
    /**
     * The box' height in pixels.
     */
    maxHeight?: number | undefined;
};
/**
 * Art direction: the aspect ratio that a picture has where a media condition holds.
 */
export type Art = {
    /**
     * Such as `(max-width: 40em)`.
     */
    media: string;
    ratio: readonly [number, number];
    /**
     * Without it, that of the picture.
     */
    sizes?: string | undefined;
};
/**
 * The last of the formats is that of the `<img>`. The first condition of `art` that holds counts.
 */
export type PictureOptions = SrcsetOptions & {
    formats?: readonly string[];
    sizes?: string;
    art?: readonly Art[];
};
/**
 * The attributes of a `<source>`.
 */
export type PictureSource = {
    media?: string | undefined;
    type: string;
    srcset: string;
    sizes: string;
    /**
     * That of the largest image, as the height.
     */
    width: number;
    height: number;
};
/**
 * An image of a srcset.
 */
export type Candidate = {
    url: string;
    width: number;
    height: number;
};
/**
 * A candidate without signature.
 */
export type Plan = {
    path: string;
    width: number;
    height: number;
};
export type Picture = {
    sources: PictureSource[];
    /**
     *   Width and height are those of the largest image.
     */
    img: {
        src: string;
        srcset: string;
        sizes: string;
        width: number;
        height: number;
    };
};
