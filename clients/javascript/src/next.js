// Loaders for next/image.

import { routeUrl } from "./redirect.js";
import { resolveSource, sizingSteps } from "./sizing.js";

/** @typedef {{ src: string, width: number, quality?: number }} LoaderProps */

/**
 * A loader that signs, for `getImageProps` in Server Components: the key stays on the server.
 * @param {import("./sizing.js").SyncSigner} signer
 * @param {{ origin?: string }} [options] `origin`: where paths such as `/a.jpg` are.
 * @returns {(props: LoaderProps) => string}
 */
export function signingLoader(signer, { origin } = {}) {
  return ({ src, width, quality }) =>
    signer.url(resolveSource(src, origin), ...sizingSteps({ width, quality }));
}

/**
 * A loader for `images.loaderFile`, which runs in browsers too: it names a route of your site, whose
 * handler (`redirectHandler` of `framekeep/redirect`) signs.
 * @param {string} route
 * @returns {(props: LoaderProps) => string}
 */
export function routeLoader(route) {
  return ({ src, width, quality }) => routeUrl(route, src, { width, quality });
}
