// A provider for Nuxt Image. It runs in browsers too, so it has no key: it chooses within rule links, and
// for other images names a route of your site that signs.

import { chooseSizing } from "./rules.js";
import { routeUrl } from "./redirect.js";

/**
 * @param {string} src A rule link, or the source of an image for the route.
 * @param {{ modifiers?: Record<string, any>, baseURL?: string }} options `baseURL` is the route
 *   (`/_image` by default), whose handler is `redirectHandler` of `framekeep/redirect`.
 * @returns {{ url: string }}
 */
export function getImage(src, { modifiers = {}, baseURL = "/_image" } = {}) {
  const { width, height, fit, format, quality } = modifiers;
  const chosen = chooseSizing(src, { width, height, format, quality });
  return { url: chosen ?? routeUrl(baseURL, src, { width, height, fit, format, quality }) };
}
