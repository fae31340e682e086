/**
 * Write the path of a rule link, all but its signature.
 * @param {string} source
 * @param {readonly string[]} steps
 */
export function rulePath(source: string, steps: readonly string[]): string;
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
export function choose(link: string, values: readonly (string | number)[] | Readonly<Record<string, string | number | undefined>>): string;
/**
 * List the fields that a rule link leaves open, with the values that they may have; none for any other
 * link.
 * @param {string} link
 * @returns {OpenField[]}
 */
export function openFields(link: string): OpenField[];
/**
 * Choose by names, as frameworks ask. What they do not ask for: the largest size, the quality 75, the
 * format `auto` or else the first one. Undefined for a link that is not a rule link.
 * @param {string} link
 * @param {import("./sizing.js").Sizing & { dpr?: number | string | undefined }} sizing
 * @returns {string | undefined}
 */
export function chooseSizing(link: string, sizing: import("./sizing.js").Sizing & {
    dpr?: number | string | undefined;
}): string | undefined;
/**
 * `name` is `width`, `height`, `format`,
 *  `quality` or `dpr` where that is known, and otherwise the step's own, such as `blur`. Shares of the
 *  picture, as in `resize:{0.25,0.5}`, are no `width`.
 */
export type OpenField = {
    name: string;
    values: string[];
};
export type Rule = {
    before: string;
    after: string;
    fields: OpenField[];
};
