// Azure Computer Vision 3.2 by its official JavaScript client. Prints what came back, as JSON.
// Arguments: endpoint, key, another key that is wrong, URL of a picture, its file.
import { createReadStream, readFileSync } from "node:fs";

import vision from "@azure/cognitiveservices-computervision";
import rest from "@azure/ms-rest-js";

const [endpoint, key, wrong, url, file] = process.argv.slice(2);

function client(withKey) {
  const credentials = new rest.ApiKeyCredentials({
    inHeader: { "Ocp-Apim-Subscription-Key": withKey },
  });
  return new vision.ComputerVisionClient(credentials, endpoint);
}

async function bytes(response) {
  const parts = [];
  for await (const part of response.readableStreamBody) parts.push(part);
  return Buffer.concat(parts).toString("base64");
}

const good = client(key);
const options = { smartCropping: true };
const byUrl = await bytes(await good.generateThumbnail(200, 200, url, options));
const buffer = readFileSync(file);
const byBuffer = await bytes(await good.generateThumbnailInStream(100, 50, buffer, options));
const stream = () => createReadStream(file);
const byStream = await bytes(await good.generateThumbnailInStream(100, 50, stream, options));
const { areaOfInterest, metadata, requestId, modelVersion } = await good.getAreaOfInterest(url);
const refused = await client(wrong)
  .getAreaOfInterest(url)
  .catch((error) => ({ status: error.statusCode, code: error.code, body: error.body }));

console.log(
  JSON.stringify({
    byUrl,
    byBuffer,
    byStream,
    area: areaOfInterest,
    metadata,
    requestId,
    modelVersion,
    refused,
  }),
);
