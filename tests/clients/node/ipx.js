// Builds IPX links with two clients from tables of modifiers, and prints them as JSON:
// node ipx.js BASE LOCAL REMOTE
import nuxt from "./node_modules/@nuxt/image/dist/runtime/providers/ipx.js";
import nuxtStatic from "./node_modules/@nuxt/image/dist/runtime/providers/ipxStatic.js";
import { generate, transform } from "./node_modules/unpic/esm/src/providers/ipx.js";

const [base, local, remote] = process.argv.slice(2);

// The modifiers of Nuxt Image, by its own names and by those of IPX.
const NUXT = [
  {},
  { width: 300 },
  { height: 200 },
  { width: 300, height: 200 },
  { width: 300, enlarge: "" },
  { height: 900, enlarge: "true" },
  { width: 900, height: 900 },
  { width: 900, height: 300 },
  { width: 900, height: 900, enlarge: "" },
  ...["cover", "contain", "fill", "inside", "outside"].flatMap((fit) => [
    { width: 200, height: 200, fit },
    { width: 900, height: 500, fit },
    { width: 900, height: 900, fit, enlarge: "" },
  ]),
  { width: 300, fit: "cover" },
  ...[
    "top", "right top", "right", "right bottom", "bottom", "left bottom", "left", "left top", "center",
    "north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest", "centre",
    "entropy", "attention",
  ].map((position) => ({ width: 100, height: 200, position })),
  { width: 200, height: 200, fit: "contain", background: "ff8800" },
  { width: 200, height: 200, fit: "contain", background: "#fff" },
  { width: 200, height: 200, fit: "contain", background: "navy", position: "left" },
  { width: 200, height: 200, fit: "contain", background: "transparent", format: "png" },
  ...["webp", "avif", "jpeg", "jpg", "png", "gif", "heif", "auto"].map((format) => ({ width: 64, format })),
  { width: 64, format: "tiff" },
  { width: 300, quality: 80 },
  { width: 300, quality: 80, format: "webp" },
  { width: 300, quality: 60, format: "auto" },
  { format: "webp", animated: "" },
  { format: "webp", animated: true },
  { width: 64, height: 64, kernel: "lanczos3" },
  { width: 64, height: 64, kernel: "nearest" },
  { rotate: 90 },
  { rotate: 90, width: 100 },
  { rotate: 90, height: 100 },
  { rotate: 180, width: 100, height: 50 },
  { rotate: 270, width: 100, height: 50 },
  { rotate: 45, background: "ffffff" },
  { rotate: 30, width: 100, background: "00ff00" },
  { rotate: -90 },
  { flip: true },
  { flop: true, width: 100 },
  { flip: "", flop: "", rotate: 90, width: 100, height: 100, position: "top" },
  { flip: false },
  { sharpen: 1.5 },
  { sharpen: true },
  { sharpen: "2_1_3" },
  { blur: 5, width: 100 },
  { blur: true },
  { blur: 1000 },
  { median: 3 },
  { median: true },
  { gamma: 2.2, width: 100 },
  { gamma: "2_1.5" },
  { negate: true },
  { normalize: true, width: 100 },
  { threshold: 128 },
  { threshold: 10, width: 100 },
  { modulate: "1.2_0.5_90" },
  { modulate: "1_0" },
  { tint: "704214" },
  { tint: "red", width: 100 },
  { grayscale: true },
  { grayscale: "", width: 100, format: "webp", quality: 50 },
  { crop: "10_20_300_200" },
  { extract: "10_20_300_200", width: 100 },
  { extract: "10_20_300_200", rotate: 90 },
  { extend: "10_20_30_40" },
  { extend: "10_20_30_40", background: "ff0000", width: 100 },
  { trim: 10 },
  { trim: 10, width: 100 },
  { flatten: true, background: "ffffff" },
  { flatten: true, format: "jpeg", width: 100 },
  { preset: "avatar" },
  { loading: "lazy" },
];

// The operations of unpic.
const UNPIC = [
  {},
  { width: 300 },
  { height: 200 },
  { width: 300, height: 200 },
  { width: 300, height: 200, format: "webp" },
  { width: 300, format: "avif", quality: 50 },
  { width: 300, format: "png" },
  { width: 300, format: "jpg", quality: 75 },
  { width: 640, height: 360, fit: "cover", position: "top" },
  { width: 640, height: 360, fit: "contain", background: "000000" },
  { width: 640, height: 360, fit: "inside" },
  { width: 300, blur: 5 },
  { width: 300, grayscale: true },
  { width: 300, rotate: 90 },
  { width: 300, enlarge: true },
  { width: 300, animated: true },
  { width: 1.5 },
];

const urls = [];
const add = (client, call, build) => {
  urls.push({ client, call, path: build().replace(/^https?:\/\/[^/]*/, "") });
};
const context = { options: { nuxt: { baseURL: "/" } } };

NUXT.forEach((modifiers, number) => {
  const source = number % 4 === 3 ? remote : local;
  add("@nuxt/image", modifiers, () =>
    nuxt().getImage(source, { modifiers: { ...modifiers }, baseURL: base }, context).url,
  );
});
for (const source of [local, remote, `${remote}?v=2&x=a b`, local.replace(/[^/]*$/, "caf\u00e9 1.jpg")]) {
  add("@nuxt/image", { width: 300, format: "webp" }, () =>
    nuxt().getImage(source, { modifiers: { width: 300, format: "webp" }, baseURL: base }, context).url,
  );
  add("@nuxt/image static", { width: 300, height: 200 }, () =>
    nuxtStatic().getImage(source, { modifiers: { width: 300, height: 200 }, baseURL: base }, context).url,
  );
}
UNPIC.forEach((operations, number) => {
  const source = number % 4 === 3 ? remote : local;
  add("unpic", operations, () => generate(source, { ...operations }, { baseURL: base }));
});
for (const width of [320, 640, 1280]) {
  const url = generate(local, { width: 100, height: 50 }, { baseURL: base });
  add("unpic transform", { width, height: width / 2 }, () =>
    transform(url, { width, height: width / 2 }, { baseURL: base }),
  );
}

// As people write them by hand: IPX's own short and long names, and all its separators.
const HAND = [
  "_", "w_300", "width_300", "h_200", "height_200", "s_300x200", "resize_300x200", "s_300",
  "w_300,h_200", "w=300&f=webp", "w:300,f:webp", "f_webp,q_80,w_300", "s_200x200,fit_outside,pos_top",
  "s_200x200,fit_inside,position_5", "b_ff0000,s_200x200,fit_contain", "a,f_webp", "animated,s_64x64,f_gif",
  "crop_1_2_30_40,s_10x10", "embed,s_1x1", "w_,h_5", "w_undefined,h_5", "w_300,w_200", "q_80,quality_70",
];
for (const modifiers of HAND) {
  add("IPX", modifiers, () => `${base}/${modifiers}${local}`);
}

console.log(JSON.stringify(urls));
