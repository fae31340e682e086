// Builds imgproxy links with four clients from tables of calls, and prints them as JSON:
// node imgproxy.js ENDPOINT KEY SALT SOURCE
import { generateImageInfoUrl, generateImageUrl } from "@imgproxy/imgproxy-node";
import { createRequire } from "node:module";

import nuxt from "./node_modules/@nuxt/image/dist/runtime/providers/imgproxy.js";

const require = createRequire(import.meta.url);
const community = require("imgproxy");
const bitpatty = require("@bitpatty/imgproxy-url-builder");

const [endpoint, key, salt, source] = process.argv.slice(2);
const { Imgproxy } = { Imgproxy: community.default ?? community.Imgproxy };
const pb = bitpatty.default ?? bitpatty;

// The official client: an object of options.
const OFFICIAL = [
  {},
  { width: 300 },
  { height: 200 },
  { resize: { resizing_type: "fit", width: 300, height: 200 } },
  { resize: { resizing_type: "fill", width: 300, height: 200, enlarge: 1 } },
  { resize: { resizing_type: "fill-down", width: 300, height: 300 } },
  { resize: { resizing_type: "force", width: 80, height: 120, enlarge: true } },
  { resize: { resizing_type: "auto", width: 120, height: 80 } },
  { size: { width: 300, height: 200, enlarge: 0 } },
  { size: { width: 300, height: 200, extend: { extend: true } } },
  { resizing_type: "fill", width: 200, height: 200, gravity: { type: "no" } },
  { resizing_type: "fill", width: 200, height: 200, gravity: { type: "soea", x_offset: 10, y_offset: 0.1 } },
  { resizing_type: "fill", width: 200, height: 200, gravity: { type: "sm" } },
  { resizing_type: "fill", width: 200, height: 200, gravity: { type: "fp", x: 0.25, y: 0.75 } },
  { resizing_type: "fill", width: 200, height: 200, gravity: { type: "obj", class_names: ["face"] } },
  { width: 300, enlarge: true },
  { width: 100, min_width: 150 },
  { height: 100, min_height: 150 },
  { width: 100, zoom: 2 },
  { width: 100, zoom: { zoom_x: 0.5, zoom_y: 2 } },
  { width: 100, dpr: 2 },
  { width: 100, dpr: 1.5, padding: { top: 10, left: 5 } },
  { width: 300, height: 300, extend: { extend: true, gravity: { type: "no" } } },
  { width: 300, height: 300, extend_aspect_ratio: { extend: true } },
  { crop: { width: 100, height: 80 } },
  { crop: { width: 0.5, height: 0.5, gravity: { type: "nowe" } } },
  { crop: { width: 100, height: 100, gravity: { type: "sm" } } },
  { trim: { threshold: 10 } },
  { trim: { threshold: 15, color: "ffffff", equal_hor: true, equal_ver: true } },
  { padding: 20 },
  { padding: { top: 1, right: 2, bottom: 3, left: 4 } },
  { auto_rotate: true },
  { rotate: 90 },
  { rotate: 270, width: 100 },
  { flip: { horizontal: true, vertical: false } },
  { flip: { horizontal: true, vertical: true } },
  { background: "ff8800" },
  { background: { r: 0, g: 128, b: 255 } },
  { blur: 5 },
  { sharpen: 0.7 },
  { pixelate: 12 },
  { strip_metadata: true, keep_copyright: true },
  { strip_color_profile: true },
  { quality: 70 },
  { format_quality: [{ format: "webp", quality: 60 }, { format: "avif", quality: 50 }] },
  { format: "webp", quality: 60 },
  { format: "avif" },
  { format: "best" },
  { max_bytes: 20000 },
  { skip_processing: ["png", "gif"] },
  { raw: true },
  { cachebuster: "v42" },
  { expires: 4102444800 },
  { filename: { name: "my-photo" } },
  { filename: { name: "bXktcGhvdG8", encoded: true } },
  { return_attachment: true, filename: { name: "photo" } },
  { preset: ["sharp", "card"] },
  { disable_animation: true },
  { page: 0 },
  { contrast: 1.2, saturation: 0.5 },
  { monochrome: { intensity: 1, color: "704214" } },
  { gradient: { opacity: 0.8, color: "000000", direction: "up" } },
  { cache_tags: ["sale", "winter"] },
  { watermark: { opacity: 0.5, position: "soea", x_offset: 10, y_offset: 10, scale: 0.2 } },
  { watermark: { opacity: 1, position: "re" } },
];

// The community's client: a chain of methods.
const COMMUNITY = [
  [["resize", "fit", 300, 200]],
  [["resize", "fill", 300, 200, true]],
  [["resize", "fill-down", 300, 300]],
  [["resize", "force", 80, 120, true]],
  [["size", 300, 200, true]],
  [["size", 300, 0]],
  [["width", 300]],
  [["height", 200]],
  [["minWidth", 400]],
  [["minHeight", 400], ["width", 50]],
  [["width", 100], ["dpr", 2]],
  [["width", 300], ["enlarge", 1]],
  [["resize", "fill", 100, 100], ["gravity", "no"]],
  [["resize", "fill", 100, 100], ["gravity", "sm"]],
  [["resize", "fill", 100, 100], ["gravity", { x: 0.5, y: 0.25 }]],
  [["resize", "fill", 100, 100], ["gravity", { type: "we", xOffset: 5, yOffset: 0 }]],
  [["quality", 70]],
  [["background", "ff0000"]],
  [["background", { r: 1, g: 2, b: 3 }]],
  [["blur", 3]],
  [["sharpen", 1]],
  [["watermark", 0.5, "ce", { x: 5, y: 6 }, 0.3]],
  [["preset", "sharp", "card"]],
  [["cacheBuster", "abc"]],
  [["format", "webp"]],
  [["maxBytes", 30000]],
  [["expires", 4102444800]],
  [["crop", 100, 80]],
  [["crop", 100, 80, "no"]],
  [["crop", 100, 80, { x: 0.1, y: 0.9 }]],
  [["setOption", "rot", "180"], ["width", 64]],
];

// A chain of methods with objects.
const BITPATTY = [
  [["resize", { type: "fit", width: 300, height: 200 }]],
  [["resize", { type: "fill", width: 300, height: 200 }], ["enlarge"]],
  [["resize", { type: "auto", width: 200, height: 300 }]],
  [["resize", { width: 300 }]],
  [["resize", { type: "fill", width: 90, height: 90 }], ["gravity", { type: "fp", offset: { x: 0.2, y: 0.3 } }]],
  [["resize", { type: "fill", width: 90, height: 90 }], ["gravity", { type: "sm" }]],
  [["resize", { type: "fit", width: 90, height: 90 }], ["extend", { gravity: { type: "so" } }]],
  [["resize", { type: "fit", width: 90, height: 90 }], ["extendAspectRatio"]],
  [["crop", { width: 60, height: 40, gravity: { type: "ea", offset: { x: 3, y: 4 } } }]],
  [["crop", { width: 60 }]],
  [["trim", { threshold: 10 }]],
  [["trim", { threshold: 10, color: "FF00FF", equal: { horizontal: true, vertical: true } }]],
  [["pad", { top: 5, right: 6, bottom: 7, left: 8 }]],
  [["pad", { top: 5 }]],
  [["rotate", 90]],
  [["background", "fff"]],
  [["background", { r: 255, g: 0, b: 10 }]],
  [["blur", 2]],
  [["sharpen", 0.5]],
  [["pixelate", 5]],
  [["contrast", 1.5]],
  [["saturation", 0]],
  [["monochrome", { intensity: 1 }]],
  [["gradient", { opacity: 0.5, direction: "left", start: 0.2, stop: 0.9 }]],
  [["blurDetections", { sigma: 8, classNames: ["face"] }]],
  [["watermark", { opacity: 0.5, position: "soea", offset: { x: 10, y: 10 }, scale: 0.15 }]],
  [["watermark", { opacity: 0.25, position: "re" }]],
  [["zoom", 2], ["resize", { width: 50 }]],
  [["zoom", [1, 2]], ["resize", { type: "force", width: 50, height: 50 }]],
  [["dpr", 2], ["resize", { width: 50 }]],
  [["minWidth", 300], ["resize", { height: 20 }]],
  [["minHeight", 300]],
  [["quality", 55]],
  [["formatQuality", { jpeg: 80, webp: 70 }]],
  [["format", "png"]],
  [["maxBytes", 12345]],
  [["skipProcessing", ["jpg", "webp"]]],
  [["raw"]],
  [["cacheBuster", "2024"]],
  [["expires", 4102444800]],
  [["fileName", "holiday"]],
  [["returnAttachment"], ["fileName", "holiday"]],
  [["preset", ["card"]]],
  [["page", 1]],
  [["disableAnimation"]],
  [["keepCopyright"]],
  [["stripMetadata"], ["stripColorProfile"]],
  [["autoRotate"]],
  [["resizingAlgorithm", "lanczos3"]],
];

// The provider of Nuxt Image: an object of modifiers.
const NUXT = [
  {},
  { width: 300 },
  { width: 300, height: 200, format: "webp", quality: 80, fit: "fill" },
  { width: 300, height: 200, fit: "cover" },
  { width: 300, height: 200, fit: "contain" },
  { width: 300, height: 200, fit: "inside" },
  { width: 300, height: 200, fit: "outside", enlarge: true },
  { width: 90, height: 90, fit: "cover", gravity: "no" },
  { width: 90, height: 90, fit: "cover", gravity: "sm" },
  { width: 100, dpr: 2 },
  { crop: { width: 100, height: 80, gravity: "nowe" } },
  { rotate: 100, width: 50 },
  { background: "ff0000", blur: 2, sharpen: 0.5, pixelate: 4 },
  { minWidth: 400, maxBytes: 20000, format: "jpg" },
  { zoom: 2, width: 40, cachebuster: "x", preset: "sharp" },
  { stripMetadata: true, autoRotate: true, keepCopyright: true, returnAttachment: true, filename: "a" },
];

const urls = [];
const add = (client, call, build) => {
  const url = build();
  urls.push({ client, call, path: url.replace(endpoint, "/").replace(/^\/+/, "/") });
};

for (const options of OFFICIAL) {
  for (const displayAs of ["base64", "plain"].slice(0, urls.length % 5 ? 1 : 2)) {
    add("@imgproxy/imgproxy-node", { displayAs, ...options }, () =>
      generateImageUrl({ endpoint, url: { value: source, displayAs }, options, salt, key }),
    );
  }
}
add("@imgproxy/imgproxy-node", { info: {} }, () =>
  generateImageInfoUrl({ endpoint, url: source, options: {}, salt, key }),
);

COMMUNITY.forEach((calls, number) => {
  const client = new Imgproxy({ baseUrl: endpoint, key, salt, encode: number % 2 === 0, insecure: false });
  add("imgproxy", calls, () =>
    calls.reduce((builder, [method, ...values]) => builder[method](...values), client.builder()).generateUrl(source),
  );
});

BITPATTY.forEach((calls, number) => {
  const builder = calls.reduce((chain, [method, ...values]) => chain[method](...values), pb());
  add("@bitpatty/imgproxy-url-builder", calls, () =>
    builder.build({ path: source, baseUrl: endpoint, plain: number % 2 === 0, signature: { key, salt } }),
  );
});

for (const modifiers of NUXT) {
  add("@nuxt/image", modifiers, () =>
    nuxt().getImage(source, { modifiers, baseURL: endpoint, key, salt }).url,
  );
}

console.log(JSON.stringify(urls));
