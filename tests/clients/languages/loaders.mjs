// Arguments: the folder of the JavaScript client, the server, its signing key, a source, an API key.
// Prints what the loaders for frameworks, and the client of the transformation API, answer.
const [folder, base, key, source, apiKey] = process.argv.slice(2);
const load = (name) => import(`${folder}/src/${name}.js`);
const { Signer } = await load("node");
const { signingLoader, routeLoader, ruleLoader } = await load("next");
const { getImage } = await load("nuxt");
const { imageService } = await load("astro");
const { provider, transformRule } = await load("unpic");
const { redirectHandler } = await load("redirect");
const { TransformClient, TransformError } = await load("transform");

const signer = new Signer(base, key);
const origin = new URL(source).origin;
const path = new URL(source).pathname;

const handler = redirectHandler(signer, {
  allowSource: (asked) => asked.startsWith(`${origin}/`),
  widths: [40, 30],
  qualities: [70],
  origin,
});
const ask = async (url) => {
  const answer = await handler(new Request(`https://www.example.com${url}`));
  return { status: answer.status, location: answer.headers.get("location"), text: await answer.text() };
};

const service = imageService(signer, { origin });
const imported = (options) => ({ src: { src: path, width: 80, height: 60, format: "png" }, ...options });
const srcset = (options) =>
  service.getSrcSet(options).map(({ transform, descriptor }) => [service.getURL(transform), descriptor]);

const rule = signer.rule(source, "resize:{20,40,80}", "convert:{auto,png}:{60,75}");
const shares = signer.rule(source, "resize:{0.25,0.5}");
const shareRefusal = () => {
  try {
    return ruleLoader()({ src: shares, width: 40 });
  } catch (error) {
    return error.message;
  }
};
const unpic = provider(signer);
const first = unpic.transform(source, { width: 40, height: 30, format: "png" });

const client = new TransformClient({ baseUrl: `${base}/`, apiKey });
const { data } = await client.transform({
  file: { type: "url", name: "photo.png", url: source },
  operations: [
    { type: "resize", width_in_px: 20, height_in_px: 20, fit: "cover" },
    { type: "convert", format: "webp", quality: 80 },
  ],
});
const refusal = async (request, options) => {
  try {
    await new TransformClient({ baseUrl: base, apiKey, ...options }).transform(request);
    return null;
  } catch (error) {
    return { isOurs: error instanceof TransformError, status: error.status, message: error.message };
  }
};

console.log(
  JSON.stringify({
    next: signingLoader(signer, { origin })({ src: path, width: 40, quality: 70 }),
    route: await ask(routeLoader("/_image")({ src: path, width: 40, quality: 70 })),
    nuxt: await ask(getImage(path, { modifiers: { width: 40, height: 30, fit: "cover" } }).url),
    refused: [
      await ask(routeLoader("/_image")({ src: path, width: 41 })),
      await ask(routeLoader("/_image")({ src: path, width: 40, quality: 71 })),
      await ask(routeLoader("/_image")({ src: "https://other.example/a.png", width: 40 })),
      await ask(getImage(path, { modifiers: {} }).url),
      await ask(getImage(path, { modifiers: { width: 40, fit: "squeeze" } }).url),
    ],
    astro: service.getURL(imported({ width: 40, format: "webp" })),
    astroAttributes: service.getHTMLAttributes(imported({ width: 40, alt: "A", widths: [1] })),
    astroWidths: srcset(imported({ width: 40, widths: [20, 40, 400] })),
    astroCropped: srcset(imported({ width: 60, height: 60, widths: [30, 400] })),
    astroContained: srcset(imported({ width: 60, height: 30, fit: "contain", widths: [20, 400] })),
    astroDensities: srcset(imported({ width: 40, densities: [1, "2x", 3] })),
    astroRemote: srcset({ src: source, width: 40, height: 30, widths: [20, 400] }),
    unpic: first,
    unpicExtracted: unpic.extract(first),
    unpicAgain: unpic.transform(first, { width: 20, height: 15 }),
    unpicForeign: unpic.extract("https://other.example/_/a.jpg"),
    rules: {
      next: ruleLoader({ format: "png" })({ src: rule, width: 30, quality: 70 }),
      nuxt: getImage(rule, { modifiers: { width: 40, format: "png" } }).url,
      astro: service.getURL({ src: rule, width: 41, format: "png", quality: 1 }),
      unpic: unpic.transform(rule, { width: 1, format: "png" }),
      unpicWithoutKey: transformRule(rule, { width: 9000, format: "png" }),
      unsized: getImage(rule).url,
    },
    shares: shareRefusal(),
    ruleUntouched: ruleLoader()({ src: source, width: 40 }),
    transform: data,
    transformRefused: await refusal({ file: { type: "url", url: source }, operations: [] }),
    transformWrongKey: await refusal({}, { apiKey: "wrong" }),
  }),
);
