// The original with what was found in it, and original and result behind one slider.

import { html, useEffect, useRef, useState } from "./preact-htm.js";
import { cropBox, cropWindow, moveFocalPoint } from "./crop-window.js";

const STEP = 0.01;

// The object URL of a blob, as long as the component shows it.
export function useObjectUrl(blob) {
  const [url, setUrl] = useState("");
  useEffect(() => {
    if (!blob) {
      setUrl("");
      return undefined;
    }
    const made = URL.createObjectURL(blob);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  return url;
}

export function formatBytes(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1000).toFixed(bytes < 1e4 ? 1 : 0)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

// `shown` is the part of the original that the result shows, in fractions; null for the whole.
export function Compare({ original, result, shown, onSize, isBusy }) {
  const [split, setSplit] = useState(50);
  const before = useObjectUrl(original?.blob);
  const after = useObjectUrl(result?.blob);
  const clip = useRef(null);
  useEffect(() => {
    clip.current?.style.setProperty("--split", `${split}%`);
  });
  const part = useBox(
    ...(shown
      ? [-shown.left / shown.width, -shown.top / shown.height, 1 / shown.width, 1 / shown.height]
      : [0, 0, 1, 1]),
  );
  if (!after) return html`<div class="stage empty" aria-busy="true">Rendering…</div>`;
  return html`<div class="compare" aria-busy=${isBusy}>
    <div class="stage" ref=${clip}>
      <img
        class="after"
        id="result"
        src=${after}
        alt="Result"
        onLoad=${(event) => onSize([event.target.naturalWidth, event.target.naturalHeight])}
      />
      ${before && html`<div class="before"><img ref=${part} class=${shown ? "part" : ""} src=${before} alt="Original" /></div>`}
      <span class="divider" aria-hidden="true"></span>
    </div>
    <label class="slider">
      <span>Original</span>
      <input
        type="range"
        min="0"
        max="100"
        value=${split}
        aria-label="Share of the original that is shown, in percent"
        onInput=${(event) => setSplit(Number(event.target.value))}
      />
      <span>Result</span>
    </label>
  </div>`;
}

export function Facts({ result, size, info }) {
  if (!result) return null;
  const share = info ? Math.round((100 * result.bytes) / info.size_in_bytes) : 0;
  const rows = [
    ["Size", size ? `${size[0]} × ${size[1]}` : "…"],
    ["Bytes", formatBytes(result.bytes)],
    ...(info ? [["Of the original", `${share} %`]] : []),
    ["Format", result.format],
    ["Time", `${Math.round(result.milliseconds)} ms`],
    ["X-Cache", result.cache || "none"],
    ...(result.focus ? [["X-Focus", result.focus]] : []),
  ];
  return html`<dl class="facts" id="facts">
    ${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

export function Original({ picture, info, step, onStep, announce }) {
  const url = useObjectUrl(picture?.blob);
  const frame = useRef(null);
  const [isDragging, setDragging] = useState(false);
  const found = cropWindow(step, info);
  const isMovable = Boolean(found && cropBox(step));

  const moveTo = (x, y) => onStep(moveFocalPoint(step, info, x, y));
  const drag = (event) => {
    const box = frame.current.getBoundingClientRect();
    moveTo((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  const press = (event) => {
    const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    const [dx, dy] = moves[event.key] ?? [];
    if (dx === undefined) return;
    event.preventDefault();
    const many = event.shiftKey ? 10 : 1;
    const x = found.left + found.width / 2 + dx * many;
    const y = found.top + found.height / 2 + dy * many;
    moveTo(x, y);
    announce(`Focal point ${Math.round(x * 100)} % from the left, ${Math.round(y * 100)} % from the top`);
  };

  return html`<section class="panel" aria-labelledby="original-title">
    <h2 id="original-title">Original</h2>
    ${info &&
    html`<p class="quiet">
      ${info.width} × ${info.height} ${info.format}, ${formatBytes(info.size_in_bytes)}${info.frames > 1 ? `, ${info.frames} frames` : ""}${info.alpha ? ", with transparency" : ""}
    </p>`}
    <div class="original" ref=${frame}>
      ${url && html`<img src=${url} alt="Original" draggable="false" />`}
      ${info?.focus.map((region, index) => html`<${Box} key=${index} kind="region" label=${region.label ?? region.kind} box=${region} />`)}
      ${found && html`<${Box} kind="window" label="window" box=${found} />`}
      ${isMovable &&
      html`<${FocalPoint}
        x=${found.left + found.width / 2}
        y=${found.top + found.height / 2}
        isDragging=${isDragging}
        onKeyDown=${press}
        onPointerDown=${(event) => {
          event.preventDefault();
          event.target.focus();
          event.target.setPointerCapture(event.pointerId);
          setDragging(true);
        }}
        onPointerMove=${(event) => isDragging && drag(event)}
        onPointerUp=${() => setDragging(false)}
        onPointerCancel=${() => setDragging(false)}
      />`}
    </div>
    <p class="quiet">
      ${info && describe(info.focus)}
      ${isMovable && " Drag the round handle, or use the arrow keys on it, to choose the focal point."}
      ${isMovable && step.type === "smart_crop" && " smart_crop then becomes resize with a position."}
    </p>
  </section>`;
}

// Saliency is a heat map of many small boxes: it is named once and drawn without labels.
function describe(regions) {
  const counts = {};
  for (const { kind } of regions) counts[kind] = (counts[kind] ?? 0) + 1;
  const names = Object.entries(counts).map(([kind, count]) => (kind === "saliency" ? "what stands out" : `${count} × ${kind}`));
  return names.length ? `Found: ${names.join(", ")}.` : "Nothing was detected.";
}

// Styles are set by script: the page's policy forbids them in markup.
function useBox(left, top, width, height) {
  const element = useRef(null);
  useEffect(() => {
    if (!element.current) return;
    const { style } = element.current;
    style.left = `${left * 100}%`;
    style.top = `${top * 100}%`;
    if (width !== undefined) {
      style.width = `${width * 100}%`;
      style.height = `${height * 100}%`;
    }
  });
  return element;
}

function Box({ kind, label, box }) {
  const element = useBox(box.left, box.top, box.width, box.height);
  return html`<div ref=${element} class=${`box ${kind} ${label}`} aria-hidden="true">
    ${label !== "saliency" && html`<span>${label}</span>`}
  </div>`;
}

function FocalPoint({ x, y, isDragging, ...events }) {
  const element = useBox(x, y);
  return html`<button
    ref=${element}
    type="button"
    id="focal-point"
    class=${isDragging ? "focal dragging" : "focal"}
    aria-label=${`Focal point: ${Math.round(x * 100)} % from the left, ${Math.round(y * 100)} % from the top. Move it with the arrow keys.`}
    ...${events}
  ></button>`;
}
