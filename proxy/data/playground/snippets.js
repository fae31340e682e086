// What is copied into a page or a program.

import { html, useEffect, useState } from "./preact-htm.js";
import { makeLinks } from "./api.js";
import { candidateOperations, candidateWidths } from "./variants.js";

const escapeHtml = (text) =>
  text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
const quoteShell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

const TABS = ["URL", "img", "picture", "srcset", "curl", "Python", "JavaScript"];
const PICTURE_FORMATS = ["avif", "webp"];

function build(tab, { url, size, source, steps, candidates, formats, signs, base }) {
  const [width, height] = size ?? [0, 0];
  const text = (value) => JSON.stringify(value);
  const img = (more = "") =>
    `<img src="${escapeHtml(url)}"${more} width="${width}" height="${height}" alt="">`;
  const srcset = candidates.map(([path, w]) => `${path} ${w}w`).join(",\n  ");
  switch (tab) {
    case "img":
      return img();
    case "picture":
      return [
        "<picture>",
        ...formats.map(([path, format]) => `  <source type="image/${format}" srcset="${escapeHtml(path)}">`),
        `  ${img()}`,
        "</picture>",
      ].join("\n");
    case "srcset":
      return img(`\n  srcset="${escapeHtml(srcset)}"\n  sizes="(max-width: ${width}px) 100vw, ${width}px"`);
    case "curl":
      return `curl --output picture ${quoteShell(url)}`;
    // The clients write native links; where none is mounted, the finished link is all there is.
    case "Python":
      return base === null
        ? ["from urllib.request import urlopen", "", `picture = urlopen(${text(url)}).read()`].join("\n")
        : [
            ...(signs ? ["import os", ""] : []),
            "from framekeep_links import Signer  # clients/python",
            "",
            `links = Signer(${text(location.origin + base)}, ${signs ? 'os.environ["FRAMEKEEP_KEY"]' : "None"})`,
            `url = links.url(${[source, ...steps].map(text).join(", ")})`,
          ].join("\n");
    case "JavaScript":
      return base === null
        ? [
            `const response = await fetch(${text(url)});`,
            "if (!response.ok) throw new Error((await response.json()).detail);",
            "const picture = await response.blob();",
          ].join("\n")
        : [
            'import { Signer } from "framekeep/node"; // clients/javascript',
            "",
            `const links = new Signer(${text(location.origin + base)}, ${signs ? "process.env.FRAMEKEEP_KEY" : "null"});`,
            `const url = links.url(${[source, ...steps].map(text).join(", ")});`,
          ].join("\n");
    default:
      return url;
  }
}

// Links are made for all snippets in one call, after the chain was rendered.
function useLinks(source, operations, size, widths, result) {
  const [links, setLinks] = useState(null);
  useEffect(() => {
    if (source.file || !result?.link || !size) {
      setLinks(null);
      return undefined;
    }
    const stop = new AbortController();
    const candidates = candidateWidths(widths, size[0]);
    const rest = operations.filter(({ type }) => type !== "convert");
    const variants = [
      ...candidates.map((width) => candidateOperations(operations, width, size[0])),
      ...PICTURE_FORMATS.map((format) => [...rest, { type: "convert", format }]),
    ];
    const items = variants.map((chain) => ({ source: source.text, operations: chain }));
    makeLinks(items, stop.signal).then(
      (made) => {
        const urls = made.map((link) => (link.path ? location.origin + link.path : ""));
        setLinks({
          candidates: candidates.map((width, index) => [urls[index], width]).filter(([url]) => url),
          formats: PICTURE_FORMATS.map((format, index) => [urls[candidates.length + index], format]).filter(([url]) => url),
        });
      },
      () => setLinks(null),
    );
    return () => stop.abort();
  }, [source, result, size, widths]);
  return links;
}

// A text with a button that copies it; with `href` also a link that opens it.
export function CopyText({ id, label, text, href, announce }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      announce("Copied");
    } catch {
      getSelection().selectAllChildren(document.getElementById(id));
      announce("The browser does not allow copying here; the text is selected");
    }
  };
  return html`<pre tabindex="0" aria-label=${label}><code id=${id}>${text}</code></pre>
    <button type="button" class="main" id=${`copy-${id}`} aria-label=${`Copy: ${label}`} disabled=${!text} onClick=${copy}>Copy</button>
    ${href && html` <a href=${href} target="_blank" rel="noopener" aria-label=${`Open the link: ${label}`}>Open the link</a>`}`;
}

export function Snippets({ source, operations, result, size, widths, signs, base, announce }) {
  const [tab, setTab] = useState("URL");
  const links = useLinks(source, operations, size, widths, result);
  if (source.file) {
    return html`<section class="panel" aria-labelledby="copy-title">
      <h2 id="copy-title">Copy</h2>
      <p>An uploaded picture has no link. Put it where the server can fetch it, and paste that source.</p>
    </section>`;
  }
  const url = result?.link ? location.origin + result.link.path : "";
  const text = url && build(tab, {
    url, size, signs, base,
    source: source.text,
    steps: result.link.steps,
    candidates: links?.candidates ?? [],
    formats: links?.formats ?? [],
  });
  const choose = (event) => {
    const at = TABS.indexOf(tab) + { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (Number.isNaN(at)) return;
    const next = TABS[(at + TABS.length) % TABS.length];
    setTab(next);
    document.getElementById(`tab-${next}`).focus();
  };
  return html`<section class="panel" aria-labelledby="copy-title">
    <h2 id="copy-title">Copy</h2>
    <div role="tablist" aria-label="Kind of snippet" class="tabs" onKeyDown=${choose}>
      ${TABS.map(
        (name) => html`<button
          type="button"
          role="tab"
          id=${`tab-${name}`}
          aria-selected=${name === tab}
          aria-controls="snippet-panel"
          tabindex=${name === tab ? 0 : -1}
          onClick=${() => setTab(name)}
        >
          ${name}
        </button>`,
      )}
    </div>
    <div role="tabpanel" id="snippet-panel" aria-labelledby=${`tab-${tab}`}>
      <${CopyText} id="snippet" label="Snippet" text=${text} href=${url} announce=${announce} />
    </div>
    ${url && !signs && html`<p class="quiet">This link is unsigned. It works where the server accepts unsigned links; enter an admin key to get signed ones.</p>`}
  </section>`;
}
