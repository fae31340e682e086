export default {
  images: {
    loader: "custom",
    loaderFile: "./image-loader.js",
    deviceSizes: [320, 640, 960, 1280], // the widths of the rule
    imageSizes: [160],
  },
};
