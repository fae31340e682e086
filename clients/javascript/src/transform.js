// A client of the image transformation API: one POST, with JSON in and JSON out.

/**
 * @typedef {object} TransformRequest
 * @property {{ type: "url", name?: string, url: string } | { type: "base64", name?: string, base64: string }} file
 * @property {readonly ({ type: string } & Record<string, unknown>)[]} operations
 * @property {string} [webhook_url]
 */

/**
 * @typedef {object} TransformResult
 * @property {true} success
 * @property {{ buffer: string, mime_type: string }} data The image in base64, and its media type.
 */

/** An answer of the server that is an error. */
export class TransformError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {unknown} body The whole answer.
   */
  constructor(status, message, body) {
    super(message);
    this.name = "TransformError";
    this.status = status;
    this.body = body;
  }
}

/** Calls `POST /image-transformation/v1/transform` of a server. */
export class TransformClient {
  #url;
  #apiKey;

  /**
   * @param {{ baseUrl: string, apiKey: string }} options `apiKey` is one of `FRAMEKEEP_API_KEYS`.
   */
  constructor({ baseUrl, apiKey }) {
    this.#url = `${baseUrl.replace(/\/+$/, "")}/image-transformation/v1/transform`;
    this.#apiKey = apiKey;
  }

  /**
   * Transform an image. Throws a `TransformError` with the server's sentence.
   * @param {TransformRequest} request
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<TransformResult>}
   */
  async transform(request, { signal } = {}) {
    const response = await fetch(this.#url, {
      method: "POST",
      headers: { Authorization: `Bearer ${this.#apiKey}`, "Content-Type": "application/json" },
      body: JSON.stringify(request),
      ...(signal ? { signal } : {}),
    });
    const text = await response.text();
    /** @type {any} */
    let body;
    try {
      body = JSON.parse(text);
    } catch {
      throw new TransformError(response.status, `the answer is not JSON: ${text.slice(0, 200)}`, text);
    }
    if (!response.ok || body.success !== true) {
      throw new TransformError(response.status, String(body.error ?? response.statusText), body);
    }
    return body;
  }
}
