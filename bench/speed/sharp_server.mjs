// The least that can be called an image server: sharp behind node's own HTTP, nothing kept.
import http from "node:http";
import sharp from "sharp";

sharp.cache(false);
sharp.concurrency(1); // libuv's threads are the parallelism; one picture takes one core

const agent = new http.Agent({ keepAlive: true });

function fetched(address) {
  return new Promise((resolve, reject) => {
    const request = http.get(address, { agent }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", () => resolve(Buffer.concat(chunks)));
      answer.on("error", reject);
    });
    request.on("error", reject);
  });
}

async function rendered(query) {
  const number = (name) => Number(query.get(name)) || undefined;
  let image = sharp(await fetched(query.get("url")), {
    sequentialRead: true,
    animated: query.has("animated"),
  }).rotate();
  image = image.resize(number("w"), number("h"), {
    position: query.has("smart") ? sharp.strategy.attention : "centre",
  });
  if (query.has("sharpen")) image = image.sharpen({ sigma: number("sharpen") });
  return image.toFormat(query.get("f"), { quality: number("q") }).toBuffer();
}

http
  .createServer(async (request, answer) => {
    const query = new URL(request.url, "http://x").searchParams;
    try {
      const body = await rendered(query);
      const headers = { "content-type": `image/${query.get("f")}`, "content-length": body.length };
      answer.writeHead(200, headers).end(body);
    } catch (error) {
      const words = String(error);
      answer.writeHead(500, { "content-length": Buffer.byteLength(words) }).end(words);
    }
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
