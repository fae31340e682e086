// Arguments: the folder of the JavaScript client, one of its modules, and vectors.json.
// Prints what the client makes of each vector.
import { readFileSync } from "node:fs";

const [folder, module, file] = process.argv.slice(2);
const { DEFAULT_WIDTHS, Signer, choose, step, widthGrid } = await import(`${folder}/src/${module}.js`);
const { SAME_SIZE_STEPS } = await import(`${folder}/src/links.js`);
const vectors = JSON.parse(readFileSync(file, "utf8"));
const signer = new Signer(vectors.base, vectors.key);
const unsigned = new Signer(vectors.base, null);

const options = ({ original, max_width: maxWidth, max_height: maxHeight, art, ...rest }) => ({
  ...rest,
  art: art?.map(([media, ratio, sizes]) => ({ media, ratio, sizes })),
  original: { width: original[0], height: original[1] },
  maxWidth,
  maxHeight,
});
const calls = {
  url: (row) => signer.url(row.source, ...row.steps),
  step: (row) => step(row.name, ...row.values, row.fields),
  srcset: (row) => signer.srcset(row.source, row.steps, options(row)),
  picture: (row) => signer.picture(row.source, row.steps, options(row)),
  rule: (row) => signer.rule(row.source, ...row.steps),
  choose: async (row) => choose(await signer.rule("media:a.jpg", ...row.steps), row.values),
};
const asVector = ({ sources, img }) => ({
  ...img,
  sources: sources.map((one) => ({ media: null, ...one })),
});
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
    width_grids: vectors.srcsets.map((row) => widthGrid(options(row))),
    pictures: (await all(vectors.pictures, calls.picture)).map(asVector),
    rules: await all(vectors.rules, calls.rule),
    choices: vectors.rules.map((row) => row.choices.map((one) => choose(row.rule, one.values))),
    chosen_again: vectors.rules.map((row) =>
      row.choices.map((one) => choose(row.choices[0].url, one.values)),
    ),
    default_widths: DEFAULT_WIDTHS,
    refused: await all(vectors.refused, (row) => isRefused(() => calls[row.call](row))),
    bad_keys: await all(vectors.bad_keys, (key) =>
      isRefused(() => new Signer(vectors.base, key)),
    ),
    same_size_steps: [...SAME_SIZE_STEPS],
  }),
);
