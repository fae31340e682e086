/**
 * Write the address of an image below a route of your site, such as `/_image`. It has no signature.
 * @param {string} route
 * @param {string} src
 * @param {Sizing} sizing
 */
export function routeUrl(route: string, src: string, sizing: Sizing): string;
/**
 * Make the handler of that route: it redirects to the signed link, or answers 400.
 *
 * Anybody can call the route, so it signs only what you list.
 * @param {{ url(source: string, ...steps: string[]): string | Promise<string> }} signer
 * @param {RedirectOptions} options
 * @returns {(request: Request) => Promise<Response>}
 */
export function redirectHandler(signer: {
    url(source: string, ...steps: string[]): string | Promise<string>;
}, options: RedirectOptions): (request: Request) => Promise<Response>;
export type Sizing = import("./sizing.js").Sizing;
export type RedirectOptions = {
    /**
     * Which sources may be asked for.
     */
    allowSource: (source: string) => boolean;
    /**
     * Which widths and heights may be asked for, in pixels.
     */
    widths: readonly number[];
    /**
     * Which qualities may be asked for.
     */
    qualities?: readonly number[] | undefined;
    /**
     * Where paths such as `/a.jpg` are: your site's URL, or `ALIAS:`.
     */
    origin?: string | undefined;
    /**
     * How long browsers keep the redirect, in seconds.
     */
    maxAge?: number | undefined;
};
