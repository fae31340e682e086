// Iteration Layer's API as its Node client asks it, by fetch with the same headers and JSON.
// Arguments: endpoint, key, URL of a picture.
const [endpoint, key, url] = process.argv.slice(2);

const response = await fetch(`${endpoint}/image-transformation/v1/transform`, {
  method: "POST",
  headers: {
    Authorization: `Bearer ${key}`,
    "Content-Type": "application/json",
    "X-IterationLayer-Integration": "sdk-node",
  },
  body: JSON.stringify({
    file: { type: "url", name: "photo.jpg", url },
    operations: [
      { type: "resize", width_in_px: 200, height_in_px: 200, fit: "cover" },
      { type: "convert", format: "webp", quality: 80 },
    ],
  }),
});
const { success, data } = await response.json();
console.log(JSON.stringify({ status: response.status, success, data }));
