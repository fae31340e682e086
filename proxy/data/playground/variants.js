// The same chain in several formats and qualities, and in several widths.

import { html, useEffect, useState } from "./preact-htm.js";
import { render } from "./api.js";
import { formatBytes, useObjectUrl } from "./picture.js";

const FORMATS = ["jpeg", "webp", "avif", "png"];

const withoutFormat = (operations) => operations.filter(({ type }) => type !== "convert");

function parseNumbers(text, least, most) {
  const found = text.split(/[\s,]+/).filter(Boolean).map(Number);
  return [...new Set(found.filter((number) => number >= least && number <= most))].slice(0, 8);
}

// Render the variants one after the other; each is shown as soon as it is there.
function useVariants(source, variants, isOpen) {
  const [results, setResults] = useState({});
  const key = JSON.stringify(variants);
  useEffect(() => {
    if (!isOpen) return undefined;
    const stop = new AbortController();
    setResults({});
    (async () => {
      for (const { name, operations } of variants) {
        let result;
        try {
          result = await render(source, operations, stop.signal);
        } catch (error) {
          if (error.name === "AbortError") return;
          result = { error: error.message };
        }
        if (stop.signal.aborted) return;
        setResults((others) => ({ ...others, [name]: result }));
      }
    })();
    return () => stop.abort();
  }, [source, key, isOpen]);
  return results;
}

export function Formats({ source, operations }) {
  const [isOpen, setOpen] = useState(false);
  const [text, setText] = useState("50, 80");
  const qualities = parseNumbers(text, 1, 100);
  const rest = withoutFormat(operations);
  const variants = FORMATS.flatMap((format) =>
    (format === "png" ? [null] : qualities).map((quality) => ({
      name: quality ? `${format} ${quality}` : format,
      operations: [...rest, { type: "convert", format, ...(quality ? { quality } : {}) }],
    })),
  );
  const results = useVariants(source, variants, isOpen);
  const known = Object.values(results).filter((result) => result.bytes);
  const most = Math.max(...known.map((result) => result.bytes), 1);
  return html`<details class="panel" id="formats" onToggle=${(event) => setOpen(event.target.open)}>
    <summary><h2>Formats and qualities</h2></summary>
    <label>Qualities <input type="text" inputmode="numeric" value=${text} onInput=${(event) => setText(event.target.value)} /></label>
    <ul class="cards">
      ${variants.map(
        ({ name }) => html`<li key=${name}><${Card} name=${name} result=${results[name]} most=${most} /></li>`,
      )}
    </ul>
  </details>`;
}

function Card({ name, result, most }) {
  const url = useObjectUrl(result?.blob);
  return html`<figure>
    <div class="thumb">${url && html`<img src=${url} alt=${`Result as ${name}`} />`}</div>
    <figcaption>
      <strong>${name}</strong>
      ${result?.error && html`<span class="error">${result.error}</span>`}
      ${result?.bytes &&
      html`<span>${formatBytes(result.bytes)}, ${Math.round(result.milliseconds)} ms</span>
        <meter min="0" max=${most} value=${result.bytes} aria-label=${`Bytes of ${name}`}></meter>`}
      ${!result && html`<span class="quiet">…</span>`}
    </figcaption>
  </figure>`;
}

// Candidates are never wider than the result: a browser would get fewer pixels than it was told.
export function candidateWidths(text, fullWidth) {
  const widths = parseNumbers(text, 1, 16384).filter((width) => width < fullWidth);
  return [...widths.sort((a, b) => a - b), fullWidth];
}

export function candidateOperations(operations, width, fullWidth) {
  if (width === fullWidth) return operations;
  const shrink = { type: "resize", width_in_px: width, fit: "inside" };
  const end = operations.filter(({ type }) => ["convert", "quality", "compress_to_size"].includes(type));
  return [...operations.filter((operation) => !end.includes(operation)), shrink, ...end];
}

const device = (width) => (width <= 480 ? "phone" : width <= 1024 ? "tablet" : "laptop");

export function Widths({ source, operations, size, text, setText }) {
  const [isOpen, setOpen] = useState(false);
  const widths = size ? candidateWidths(text, size[0]) : [];
  const variants = widths.map((width) => ({
    name: String(width),
    operations: candidateOperations(operations, width, size[0]),
  }));
  const results = useVariants(source, variants, isOpen);
  return html`<details class="panel" id="widths" onToggle=${(event) => setOpen(event.target.open)}>
    <summary><h2>Widths for srcset</h2></summary>
    <label>Widths <input type="text" inputmode="numeric" value=${text} onInput=${(event) => setText(event.target.value)} /></label>
    <ul class="cards devices">
      ${widths.map(
        (width) => html`<li key=${width}><${Device} width=${width} result=${results[width]} /></li>`,
      )}
    </ul>
  </details>`;
}

function Device({ width, result }) {
  const url = useObjectUrl(result?.blob);
  const kind = device(width);
  return html`<figure class=${kind}>
    <div class="screen">${url && html`<img src=${url} alt=${`${width} pixels wide, on a ${kind}`} />`}</div>
    <figcaption>
      <strong>${width}w</strong>
      ${result?.error && html`<span class="error">${result.error}</span>`}
      ${result?.bytes && html`<span>${formatBytes(result.bytes)}</span>`}
    </figcaption>
  </figure>`;
}
