/**
 * Write the steps. The image is never larger than its original; `cover` keeps the subject.
 * @param {Sizing} sizing
 */
export function sizingSteps({ width, height, fit, format, quality }: Sizing): string[];
/**
 * Make the source of a path of the site: `/a.jpg` with the origin `https://www.example.com` or
 * `media:`. Anything else is a source already.
 * @param {string} src
 * @param {string} [origin]
 */
export function resolveSource(src: string, origin?: string): string;
/**
 * A `Signer` of
 *  `framekeep/node`: frameworks want their URLs at once.
 */
export type SyncSigner = {
    url(source: string, ...steps: string[]): string;
};
export type Sizing = {
    /**
     * In pixels.
     */
    width?: number | string | undefined;
    /**
     * In pixels.
     */
    height?: number | string | undefined;
    /**
     * `cover` (the default), `contain`, `inside` or `fill`.
     */
    fit?: string | undefined;
    /**
     * `auto` (the default), or a format.
     */
    format?: string | undefined;
    /**
     * From 1 to 100.
     */
    quality?: number | string | undefined;
};
