// A minimal image server: sharp behind node's HTTP server, without a cache, with sharp's own settings.
import http from "node:http";
import sharp from "sharp";

const agent = new http.Agent({ keepAlive: true });

function fetchOriginal(url) {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve(Buffer.concat(chunks)));
      response.on("error", reject);
    });
    request.on("error", reject);
  });
}

async function render(query) {
  const number = (name) => Number(query.get(name)) || undefined;
  let image = sharp(await fetchOriginal(query.get("url")), {
    animated: query.has("animated"),
  }).rotate();
  image = image.resize(number("w"), number("h"), {
    position: query.has("smart") ? sharp.strategy.attention : "centre",
  });
  if (query.has("sharpen")) image = image.sharpen({ sigma: number("sharpen") });
  const options = { quality: number("q") };
  if (query.has("effort")) options.effort = number("effort");
  return image.toFormat(query.get("f"), options).toBuffer();
}

http
  .createServer(async (request, response) => {
    const url = new URL(request.url, "http://x");
    if (url.pathname === "/healthcheck") {
      response.writeHead(200, { "content-length": 2 }).end("ok");
      return;
    }
    const query = url.searchParams;
    try {
      const body = await render(query);
      const headers = { "content-type": `image/${query.get("f")}`, "content-length": body.length };
      response.writeHead(200, headers).end(body);
    } catch (error) {
      const message = String(error);
      response.writeHead(500, { "content-length": Buffer.byteLength(message) }).end(message);
    }
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
