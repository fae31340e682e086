// Calls to the server. Every path is on this server: the page may connect to no other.

const KEY_NAME = "framekeep-admin-key";
const IMAGE_ACCEPT = "image/avif,image/webp,image/*,*/*;q=0.8";

export const base = document.getElementById("app").dataset.base;

export function getKey() {
  return sessionStorage.getItem(KEY_NAME) ?? "";
}

export function setKey(key) {
  if (key) sessionStorage.setItem(KEY_NAME, key);
  else sessionStorage.removeItem(KEY_NAME);
}

// A failed call, with the server's sentence and, for a chain, the operation and field at fault.
export class CallError extends Error {
  constructor(message, status = 0, operation = null, field = null) {
    super(message);
    this.status = status;
    this.operation = operation;
    this.field = field;
  }
}

async function call(url, options = {}) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new CallError("The server does not answer.");
  }
  if (response.ok) return response;
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // The body is no JSON; the status says enough.
  }
  throw new CallError(
    problem.detail ?? `The server answered ${response.status}.`,
    response.status,
    problem.operation ?? null,
    problem.field ?? null,
  );
}

function withKey(options = {}) {
  const key = getKey();
  const headers = { ...options.headers, accept: options.headers?.accept ?? "application/json" };
  return { ...options, headers: key ? { ...headers, authorization: `Bearer ${key}` } : headers };
}

export async function fetchConfig() {
  return (await call(`${base}/api/config`, withKey())).json();
}

export async function fetchSample(name) {
  return (await call(`${base}/samples/${name}`)).blob();
}

// Make links, in one call. Items are {source, operations} or {source, ratios}.
export async function makeLinks(items, signal) {
  const response = await call(
    `${base}/api/links`,
    withKey({ method: "POST", body: JSON.stringify({ items }), signal }),
  );
  return (await response.json()).links;
}

function linkError(link) {
  return new CallError(link.error, 400, link.operation ?? null, link.field ?? null);
}

// Render a chain; returns what is shown of the answer. `link` is null for an upload.
export async function render(source, operations, signal) {
  let url;
  let link = null;
  let options = { headers: { accept: IMAGE_ACCEPT }, signal };
  if (source.file) {
    url = `${base}/api/render?operations=${encodeURIComponent(JSON.stringify(operations))}`;
    options = withKey({ ...options, method: "POST", body: source.file });
  } else {
    [link] = await makeLinks([{ source: source.text, operations }], signal);
    if (link.error) throw linkError(link);
    url = link.path;
  }
  const started = performance.now();
  const response = await call(url, options);
  const blob = await response.blob();
  return {
    link,
    blob,
    bytes: blob.size,
    format: (response.headers.get("content-type") ?? "").replace("image/", ""),
    milliseconds: performance.now() - started,
    cache: response.headers.get("x-cache") ?? "",
    focus: response.headers.get("x-focus") ?? "",
  };
}

// Describe an original, with the crop windows of these ratios.
export async function fetchInfo(source, ratios, signal) {
  if (source.file) {
    const url = `${base}/api/info?ratios=${encodeURIComponent(JSON.stringify(ratios))}`;
    return (await call(url, withKey({ method: "POST", body: source.file, signal }))).json();
  }
  const [link] = await makeLinks([{ source: source.text, ratios }], signal);
  if (link.error) throw linkError(link);
  return (await call(link.path, { signal })).json();
}
