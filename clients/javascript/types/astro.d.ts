/** @typedef {{ src: string, width: number, height: number }} Metadata An imported image. */
/** @typedef {Record<string, any> & { src: string | Metadata }} Transform */
/**
 * @param {import("./sizing.js").SyncSigner} signer
 * @param {{ origin?: string }} [options] `origin`: where your site's imported images are.
 */
export function imageService(signer: import("./sizing.js").SyncSigner, { origin }?: {
    origin?: string;
}): {
    /** @param {any} transform @returns {string} */
    getURL(transform: any): string;
    /**
     * @param {any} transform
     * @returns {{ transform: any, descriptor: string, attributes: Record<string, any> }[]}
     */
    getSrcSet(transform: any): {
        transform: any;
        descriptor: string;
        attributes: Record<string, any>;
    }[];
    /** @param {any} transform @returns {Record<string, any>} */
    getHTMLAttributes(transform: any): Record<string, any>;
};
/**
 * An imported image.
 */
export type Metadata = {
    src: string;
    width: number;
    height: number;
};
export type Transform = Record<string, any> & {
    src: string | Metadata;
};
