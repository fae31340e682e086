// A provider for Nuxt Image. It runs in browsers too, so it names a route of your site that signs.

import { routeUrl } from "./redirect.js";

/**
 * @param {string} src
 * @param {{ modifiers?: Record<string, any>, baseURL?: string }} options `baseURL` is the route
 *   (`/_image` by default), whose handler is `redirectHandler` of `framekeep/redirect`.
 * @returns {{ url: string }}
 */
export function getImage(src, { modifiers = {}, baseURL = "/_image" } = {}) {
  const { width, height, fit, format, quality } = modifiers;
  return { url: routeUrl(baseURL, src, { width, height, fit, format, quality }) };
}
