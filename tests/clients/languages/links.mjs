// Arguments: the folder of the JavaScript client, one of its modules, and vectors.json.
// Prints what the client makes of each vector.
import { readFileSync } from "node:fs";

const [folder, module, file] = process.argv.slice(2);
const { Signer, step } = await import(`${folder}/src/${module}.js`);
const { SAME_SIZE_STEPS } = await import(`${folder}/src/links.js`);
const vectors = JSON.parse(readFileSync(file, "utf8"));
const signer = new Signer(vectors.base, vectors.key);
const unsigned = new Signer(vectors.base, null);

const options = ({ original, max_width: maxWidth, max_height: maxHeight, ...rest }) => ({
  ...rest,
  original: { width: original[0], height: original[1] },
  maxWidth,
  maxHeight,
});
const calls = {
  url: (row) => signer.url(row.source, ...row.steps),
  step: (row) => step(row.name, ...row.values, row.fields),
  srcset: (row) => signer.srcset(row.source, row.steps, options(row)),
};
const isRefused = async (call) => {
  try {
    await call();
    return false;
  } catch (error) {
    return error instanceof TypeError;
  }
};
const all = (rows, call) => Promise.all(rows.map(async (row) => call(row)));

console.log(
  JSON.stringify({
    links: await all(vectors.links, calls.url),
    unsigned: await all(vectors.links, (row) => unsigned.url(row.source, ...row.steps)),
    steps: await all(vectors.steps, calls.step),
    srcsets: await all(vectors.srcsets, calls.srcset),
    candidates: await all(vectors.srcsets, (row) =>
      signer.candidates(row.source, row.steps, options(row)),
    ),
    pictures: await all(vectors.pictures, (row) =>
      signer.picture(row.source, row.steps, options(row)),
    ),
    refused: await all(vectors.refused, (row) => isRefused(() => calls[row.call](row))),
    bad_keys: await all(vectors.bad_keys, (key) =>
      isRefused(() => new Signer(vectors.base, key)),
    ),
    same_size_steps: [...SAME_SIZE_STEPS],
  }),
);
