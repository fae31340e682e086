// Encode raw pixels with sharp: a JSON line for each file comes in, one goes out.
import { readFile, writeFile } from "node:fs/promises";
import readline from "node:readline";
import { createRequire } from "node:module";

const sharp = createRequire(process.argv[2] + "/")("sharp");
sharp.cache(false);
sharp.concurrency(1);

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { input, output, width, height, format, options } = JSON.parse(line);
  const pixels = await readFile(input);
  const start = process.cpuUsage();
  const body = await sharp(pixels, { raw: { width, height, channels: 3 } })
    .toFormat(format, options)
    .toBuffer();
  const { user, system } = process.cpuUsage(start);
  await writeFile(output, body);
  console.log(JSON.stringify({ seconds: (user + system) / 1e6, ...sharp.versions }));
}
