// Builds thumbor links with five clients from tables of calls, and prints them as JSON:
// node thumbor.js ENDPOINT KEY SOURCE
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const [endpoint, key, source] = process.argv.slice(2);

// A chain of methods, the same in four clients.
const CHAINS = [
  [["resize", 300, 200]],
  [["resize", 300, 0]],
  [["resize", 0, 200]],
  [["resize", 300, "orig"]],
  [["resize", 300, 200], ["smartCrop", true]],
  [["resize", 300, 200], ["halign", "left"], ["valign", "top"]],
  [["resize", 300, 200], ["halign", "right"]],
  [["resize", 300, 200], ["valign", "bottom"]],
  [["fitIn", 300, 200]],
  [["fitIn", 300, 0]],
  [["resize", 300, 200], ["flipHorizontally"]],
  [["flipVertically"]],
  [["crop", 10, 20, 300, 400]],
  [["crop", 1, 2, 300, 400], ["resize", 150, 0], ["flipHorizontally"], ["flipVertically"]],
  [["metaDataOnly", true], ["resize", 300, 200]],
  [["fitIn", 300, 200], ["filter", "fill(navy)"]],
  [["fitIn", 300, 300], ["filter", "fill(blur)"]],
  [["resize", 200, 200], ["filter", "quality(80)"]],
  [["resize", 200, 200], ["filter", "format(webp)"]],
  [["resize", 200, 200], ["filter", "round_corner(20|30,255,255,255)"]],
  [["resize", 200, 200], ["filter", "blur(7)"]],
  [["resize", 200, 200], ["filter", "no_upscale()"]],
  [["resize", 200, 200], ["filter", "rotate(90)"]],
  [["resize", 200, 200], ["filter", "noise(40)"]],
];

// An immutable chain with a method for each filter. Unsigned: it signs without the slash in front of
// the source, which thumbor refuses, too.
const TYPED = [
  [["resize", 300, 200]],
  [["resize", 300, "orig"]],
  [["resize", 300, 200, true, true]],
  [["fitIn", 300, 200]],
  [["resize", 300, 200], ["smartCrop"]],
  [["resize", 300, 200], ["hAlign", "left"], ["vAlign", "top"]],
  [["crop", 10, 20, 300, 400]],
  [["metaDataOnly"]],
  [["resize", 200, 200], ["backgroundColor", "ff0000"]],
  [["resize", 200, 200], ["blur", 5]],
  [["resize", 200, 200], ["blur", 5, 2]],
  [["resize", 200, 200], ["brightness", 20]],
  [["resize", 200, 200], ["contrast", -20]],
  [["resize", 200, 200], ["equalize"]],
  [["fitIn", 200, 200], ["fill", "00ff00"]],
  [["fitIn", 200, 200], ["fill", "00ff00", true]],
  [["resize", 200, 200], ["focal", 10, 10, 50, 50]],
  [["format", "png"]],
  [["grayscale"]],
  [["maxBytes", 20000]],
  [["resize", 2000, 2000], ["noUpscale"]],
  [["proportion", 0.5]],
  [["quality", 60]],
  [["rgb", 20, -20, 40]],
  [["rotate", 180]],
  [["roundCorner", 20, 255, 0, 0]],
  [["roundCorner", [20, 30], 255, 0, 0, true]],
  [["sharpen", 2, 1, true]],
  [["stripExif"]],
  [["resize", 200, 200], ["quality", 50], ["format", "webp"], ["grayscale"]],
];

const chained = {
  thumbor: () => new (require("thumbor"))(key, endpoint),
  "thumbor-lite": () => new (require("thumbor-lite"))(key, endpoint),
  "thumbor-js-url-builder": () => new (require("thumbor-js-url-builder"))(key, endpoint),
  "thumbor-url-builder": () => new (require("thumbor-url-builder"))(key, endpoint),
};
console.log = () => {}; // one client prints what it does
const urls = [];
const add = (client, call, build) => {
  const url = build();
  urls.push({ client, call, path: url.replace(endpoint, "") });
};
for (const [client, open] of Object.entries(chained)) {
  for (const calls of CHAINS) {
    add(client, calls, () =>
      calls
        .reduce((builder, [method, ...values]) => builder[method](...values), open().setImagePath(source))
        .buildUrl(),
    );
  }
}
const typed = require("thumbor-ts").default;
for (const calls of TYPED) {
  add("thumbor-ts", calls, () =>
    calls
      .reduce((builder, [method, ...values]) => builder[method](...values), typed({ serverUrl: endpoint }).setPath(source))
      .buildUrl(),
  );
}
process.stdout.write(JSON.stringify(urls));
