// Azure Image Analysis 4.0 by its official JavaScript client. Prints what came back, as JSON.
// Arguments: endpoint, key, another key that is wrong, URL of a picture, its file.
import { readFileSync } from "node:fs";

import createClient, { isUnexpected } from "@azure-rest/ai-vision-image-analysis";
import { AzureKeyCredential } from "@azure/core-auth";

const [endpoint, key, wrong, url, file] = process.argv.slice(2);

async function analyze(withKey, body, contentType, ratios) {
  const client = (createClient.default ?? createClient)(endpoint, new AzureKeyCredential(withKey), {
    allowInsecureConnection: true,
    retryOptions: { maxRetries: 0 },
  });
  const result = await client.path("/imageanalysis:analyze").post({
    body,
    queryParameters: { features: ["SmartCrops"], "smartcrops-aspect-ratios": ratios },
    contentType,
  });
  return { status: result.status, unexpected: isUnexpected(result), body: result.body };
}

const buffer = readFileSync(file);
const octets = "application/octet-stream";
console.log(
  JSON.stringify({
    byBuffer: await analyze(key, buffer, octets, [0.75, 1, 1.5]),
    byUrl: await analyze(key, { url }, "application/json", [0.75, 1, 1.5]),
    ends: await analyze(key, buffer, octets, [0.75, 1.8]),
    outside: await analyze(key, buffer, octets, [0.74]),
    refused: await analyze(wrong, buffer, octets, [1]),
  }),
);
