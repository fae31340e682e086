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
    constructor(status: number, message: string, body: unknown);
    status: number;
    body: unknown;
}
/** Calls `POST /image-transformation/v1/transform` of a server. */
export class TransformClient {
    /**
     * @param {{ baseUrl: string, apiKey: string }} options `apiKey` is one of `FRAMEKEEP_API_KEYS`.
     */
    constructor({ baseUrl, apiKey }: {
        baseUrl: string;
        apiKey: string;
    });
    /**
     * Transform an image. Throws a `TransformError` with the server's sentence.
     * @param {TransformRequest} request
     * @param {{ signal?: AbortSignal }} [options]
     * @returns {Promise<TransformResult>}
     */
    transform(request: TransformRequest, { signal }?: {
        signal?: AbortSignal;
    }): Promise<TransformResult>;
    #private;
}
export type TransformRequest = {
    file: {
        type: "url";
        name?: string;
        url: string;
    } | {
        type: "base64";
        name?: string;
        base64: string;
    };
    operations: readonly ({
        type: string;
    } & Record<string, unknown>)[];
    webhook_url?: string | undefined;
};
export type TransformResult = {
    success: true;
    /**
     * The image in base64, and its media type.
     */
    data: {
        buffer: string;
        mime_type: string;
    };
};
