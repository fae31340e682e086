// Places crops with smartcrop.js: a line of JSON in (path, sizes), a line out (corners).
import { createInterface } from "node:readline";
import sharp from "sharp";
import smartcrop from "smartcrop";

const imageOperations = {
  open: async (path) => {
    const { width, height } = await sharp(path).metadata();
    return { width, height, path };
  },
  resample: async (image, width, height) => ({
    width: Math.trunc(width),
    height: Math.trunc(height),
    path: image.path,
  }),
  getData: async (image) => {
    const data = await sharp(image.path)
      .resize(image.width, image.height, { fit: "fill" })
      .ensureAlpha()
      .raw()
      .toBuffer();
    return new smartcrop.ImgData(image.width, image.height, data);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { path, sizes } = JSON.parse(line);
  const corners = {};
  for (const [name, [width, height]] of Object.entries(sizes)) {
    const { topCrop } = await smartcrop.crop(path, { width, height, minScale: 1, imageOperations });
    corners[name] = [topCrop.x, topCrop.y];
  }
  console.log(JSON.stringify({ corners }));
}
