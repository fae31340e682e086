// Loaders for next/image.

import { routeUrl } from "./redirect.js";
import { chooseSizing } from "./rules.js";
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

/**
 * A loader for `images.loaderFile`, without a key: `src` is a rule link, which your server signed, and the
 * loader chooses its width and quality. Other images stay as they are.
 * @param {{ format?: string, quality?: number }} [choice] What to choose for every image.
 * @returns {(props: LoaderProps) => string}
 */
export function ruleLoader({ format, quality } = {}) {
  return (props) =>
    chooseSizing(props.src, { width: props.width, format, quality: props.quality ?? quality }) ?? props.src;
}
