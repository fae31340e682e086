// Links for code that runs in browsers: it asks a route of your site, which signs and redirects.

import { resolveSource, sizingSteps } from "./sizing.js";

/** @typedef {import("./sizing.js").Sizing} Sizing */

/**
 * @typedef {object} RedirectOptions
 * @property {(source: string) => boolean} allowSource Which sources may be asked for.
 * @property {readonly number[]} widths Which widths and heights may be asked for, in pixels.
 * @property {readonly number[]} [qualities] Which qualities may be asked for.
 * @property {string} [origin] Where paths such as `/a.jpg` are: your site's URL, or `ALIAS:`.
 * @property {number} [maxAge] How long browsers keep the redirect, in seconds.
 */

const NAMES = /** @type {const} */ (["width", "height", "fit", "format", "quality"]);

/**
 * Write the address of an image below a route of your site, such as `/_image`. It has no signature.
 * @param {string} route
 * @param {string} src
 * @param {Sizing} sizing
 */
export function routeUrl(route, src, sizing) {
  const query = new URLSearchParams({ src });
  for (const name of NAMES) {
    if (sizing[name] !== undefined) query.set(name, String(sizing[name]));
  }
  return `${route}?${query}`;
}

/**
 * Make the handler of that route: it redirects to the signed link, or answers 400.
 *
 * Anybody can call the route, so it signs only what you list.
 * @param {{ url(source: string, ...steps: string[]): string | Promise<string> }} signer
 * @param {RedirectOptions} options
 * @returns {(request: Request) => Promise<Response>}
 */
export function redirectHandler(signer, options) {
  const { allowSource, widths, qualities = [], origin, maxAge = 3600 } = options;
  return async (request) => {
    const query = new URL(request.url).searchParams;
    const asked = Object.fromEntries(NAMES.map((name) => [name, query.get(name) ?? undefined]));
    try {
      checkListed("width", asked.width, widths);
      checkListed("height", asked.height, widths);
      checkListed("quality", asked.quality, qualities);
      if (!asked.width && !asked.height) throw new TypeError("width or height is required");
      const source = resolveSource(query.get("src") ?? "", origin);
      if (!allowSource(source)) throw new TypeError("this source is not allowed");
      const location = await signer.url(source, ...sizingSteps(asked));
      const headers = { Location: location, "Cache-Control": `public, max-age=${maxAge}` };
      return new Response(null, { status: 302, headers });
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return new Response(error.message, { status: 400 });
    }
  };
}

/**
 * @param {string} name
 * @param {string | undefined} value
 * @param {readonly number[]} listed
 */
function checkListed(name, value, listed) {
  if (value !== undefined && !listed.includes(Number(value))) {
    throw new TypeError(`${name} must be one of ${listed.join(", ") || "none"}`);
  }
}
