/** @typedef {{ src: string, width: number, quality?: number }} LoaderProps */
/**
 * A loader that signs, for `getImageProps` in Server Components: the key stays on the server.
 * @param {import("./sizing.js").SyncSigner} signer
 * @param {{ origin?: string }} [options] `origin`: where paths such as `/a.jpg` are.
 * @returns {(props: LoaderProps) => string}
 */
export function signingLoader(signer: import("./sizing.js").SyncSigner, { origin }?: {
    origin?: string;
}): (props: LoaderProps) => string;
/**
 * A loader for `images.loaderFile`, which runs in browsers too: it names a route of your site, whose
 * handler (`redirectHandler` of `framekeep/redirect`) signs.
 * @param {string} route
 * @returns {(props: LoaderProps) => string}
 */
export function routeLoader(route: string): (props: LoaderProps) => string;
/**
 * A loader for `images.loaderFile`, without a key: `src` is a rule link, which your server signed, and the
 * loader chooses its width and quality. Other images stay as they are.
 * @param {{ format?: string, quality?: number }} [choice] What to choose for every image.
 * @returns {(props: LoaderProps) => string}
 */
export function ruleLoader({ format, quality }?: {
    format?: string;
    quality?: number;
}): (props: LoaderProps) => string;
export type LoaderProps = {
    src: string;
    width: number;
    quality?: number;
};
