/** @typedef {{ width?: number | string, height?: number | string, format?: string, quality?: number | string, fit?: string }} Operations */
/**
 * @param {import("./sizing.js").SyncSigner & { base: string }} signer
 */
export function provider(signer: import("./sizing.js").SyncSigner & {
    base: string;
}): {
    generate: (src: string | URL, operations: Operations) => string;
    extract: (url: string | URL) => {
        src: string;
        operations: Operations;
    } | null;
    transform: (src: string | URL, operations: Operations) => string;
};
/**
 * unpic's `transform` for rule links, without a key: browsers may use it.
 * @param {string | URL} src
 * @param {Operations} operations
 */
export function transformRule(src: string | URL, operations: Operations): string;
export type Operations = {
    width?: number | string;
    height?: number | string;
    format?: string;
    quality?: number | string;
    fit?: string;
};
