/**
 * @param {string} src A rule link, or the source of an image for the route.
 * @param {{ modifiers?: Record<string, any>, baseURL?: string }} options `baseURL` is the route
 *   (`/_image` by default), whose handler is `redirectHandler` of `framekeep/redirect`.
 * @returns {{ url: string }}
 */
export function getImage(src: string, { modifiers, baseURL }?: {
    modifiers?: Record<string, any>;
    baseURL?: string;
}): {
    url: string;
};
