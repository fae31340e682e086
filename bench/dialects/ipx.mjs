// Renders links with IPX, and prints the results as JSON: node ipx.mjs ORIGINAL MODIFIERS…
import path from "node:path";
import { createIPX, ipxFSStorage, parseIPXURL } from "ipx";

const [original, ...links] = process.argv.slice(2);
const ipx = createIPX({ storage: ipxFSStorage({ dir: path.dirname(original) }) });

const results = [];
for (const link of links) {
  try {
    const { id, modifiers } = parseIPXURL(`http://ipx/${link}/${path.basename(original)}`);
    const { data } = await ipx(id, modifiers).process();
    results.push({ body: Buffer.from(data).toString("hex") });
  } catch (error) {
    results.push({ error: String(error.message) });
  }
}
process.stdout.write(JSON.stringify(results));
