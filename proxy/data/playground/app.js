// The playground: source, chain, result. State lives here; the other modules show parts of it.

import { html, render as mount, useEffect, useMemo, useRef, useState } from "./preact-htm.js";
import { base, fetchConfig, fetchInfo, fetchSample, getKey, render, setKey } from "./api.js";
import { Chain, newId } from "./chain.js";
import { cropWindow, windowRatio } from "./crop-window.js";
import { Compare, Facts, Original } from "./picture.js";
import { presetStep, readOperations, toOperations } from "./schema.js";
import { RuleLink } from "./rule-link.js";
import { Snippets } from "./snippets.js";
import { Formats, Widths } from "./variants.js";

const PAUSE_MS = 250; // typing renders once, not for each key
const MESSAGE_MS = 8000;
const START = [
  { type: "smart_crop", values: { width_in_px: 600, height_in_px: 600 } },
  { type: "convert", values: { format: "webp" } },
];

const withIds = (steps) => steps.map((step) => ({ ...step, id: newId() }));

// The state of the page is in its address, so that it can be bookmarked; uploads are not.
function readAddress(names) {
  try {
    const { source, steps } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
    const known = steps.filter(({ type, values }) => names.has(type) && typeof values === "object");
    return { source: String(source), steps: known };
  } catch {
    return null;
  }
}

function App() {
  const [config, setConfig] = useState(null);
  const [failure, setFailure] = useState(null);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    fetchConfig().then(
      (found) => {
        setFailure(null);
        setConfig(found);
      },
      (error) => {
        setConfig(null);
        setFailure(error);
      },
    );
  }, [attempt]);
  const useKey = (key) => {
    setKey(key);
    setAttempt(attempt + 1);
  };
  const needsKey = failure?.status === 401 || (config && !config.can_link);
  return html`<header>
      <h1>Playground</h1>
      <nav aria-label="Manual"><a href=${`${base.replace(/\/playground$/, "")}/docs`}>Documentation</a></nav>
      ${config && (config.needs_key || getKey()) &&
      html`<${KeyForm} isOpen=${needsKey} hasKey=${Boolean(getKey())} onKey=${useKey} />`}
    </header>
    <main>
      ${failure && html`<p class="error" role="alert">${failure.message}</p>`}
      ${failure?.status === 401 && html`<${KeyForm} isOpen=${true} hasKey=${Boolean(getKey())} onKey=${useKey} />`}
      ${!config && !failure && html`<p>Loading…</p>`}
      ${config && html`<${Workbench} key=${attempt} config=${config} />`}
    </main>`;
}

function KeyForm({ isOpen, hasKey, onKey }) {
  const [key, set] = useState("");
  const submit = (event) => {
    event.preventDefault();
    onKey(key);
  };
  if (hasKey && !isOpen) {
    return html`<button type="button" onClick=${() => onKey("")}>Forget the admin key</button>`;
  }
  return html`<form class="row" onSubmit=${submit}>
    <label for="admin-key">Admin key</label>
    <input id="admin-key" type="password" autocomplete="off" value=${key} onInput=${(event) => set(event.target.value)} />
    <button type="submit">Use the key</button>
  </form>`;
}

function Workbench({ config }) {
  const operations = useMemo(() => {
    const presets = config.presets.length ? [presetStep(config.presets)] : [];
    return [...readOperations(config.operations), ...presets];
  }, [config]);
  const saved = useMemo(() => readAddress(new Set(operations.map(({ name }) => name))), []);
  const [source, setSource] = useState(() => (saved ? { text: saved.source } : null));
  const [steps, setSteps] = useState(() => withIds(saved?.steps ?? START));
  const [message, announce] = useState("");
  const [widths, setWidths] = useState("320, 640, 960, 1280");
  const chain = useMemo(() => toOperations(steps), [steps]);

  useEffect(() => {
    const timer = setTimeout(() => announce(""), MESSAGE_MS);
    return () => clearTimeout(timer);
  }, [message]);
  useEffect(() => {
    if (source) return;
    chooseSample(config.samples[0]);
  }, []);
  useEffect(() => {
    if (!source || source.file) return;
    const state = { source: source.text, steps: steps.map(({ type, values }) => ({ type, values })) };
    history.replaceState(null, "", `#${encodeURIComponent(JSON.stringify(state))}`);
  }, [source, steps]);

  // A sample takes a moment to load; what was chosen meanwhile stays.
  const choices = useRef(0);
  function choose(chosen) {
    choices.current += 1;
    setSource(chosen);
  }
  async function chooseSample(sample) {
    if (sample.source && config.can_link) choose({ text: sample.source });
    else {
      choices.current += 1;
      const choice = choices.current;
      try {
        const file = await fetchSample(sample.name);
        if (choice === choices.current) setSource({ file, name: sample.name });
      } catch (error) {
        announce(error.message);
      }
    }
  }
  const chooseFile = (file) => {
    if (!file) return;
    if (!config.can_upload) announce("Uploads need an admin key here.");
    else if (file.size > config.max_upload_bytes) {
      announce(`${file.name} is too large: at most ${config.max_upload_bytes} bytes are allowed.`);
    } else choose({ file, name: file.name });
  };

  const { result, size, setSize, error, isBusy } = useRendition(source, chain);
  const original = useOriginal(source);
  const info = useInfo(source, windowRatio(steps[0]));
  const setFirst = (step) => setSteps([step, ...steps.slice(1)]);

  const dropped = (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    chooseFile(event.dataTransfer.files[0]);
  };

  return html`<div class="bench" onDragOver=${(event) => event.preventDefault()} onDrop=${dropped}>
    <div class="controls">
      <${Source} config=${config} source=${source} onText=${(text) => choose({ text })} onFile=${chooseFile} onSample=${chooseSample} />
      <${Chain} operations=${operations} steps=${steps} onChange=${setSteps} error=${error} announce=${announce} maximum=${config.max_operations} />
    </div>
    <div class="results">
      <section class="panel" aria-labelledby="result-title">
        <h2 id="result-title">Result</h2>
        ${error && html`<p class="error" role="alert" id="error">${error.message}</p>`}
        ${!error && html`<${Compare} original=${original} result=${result} shown=${cropWindow(steps[0], info)} onSize=${setSize} isBusy=${isBusy} />`}
        ${!error && html`<${Facts} result=${result} size=${size} info=${info} />`}
      </section>
      ${source && html`<${Original} picture=${original} info=${info} step=${steps[0]} onStep=${setFirst} announce=${announce} />`}
      ${source && html`<${Snippets} source=${source} operations=${chain} result=${error ? null : result} size=${size} widths=${widths} signs=${config.signs} base=${config.link_base} announce=${announce} />`}
      ${source && !source.file && config.link_base !== null && html`<${RuleLink} source=${source} kinds=${operations} steps=${steps} operations=${chain} base=${config.link_base} announce=${announce} />`}
      ${source && !error && html`<${Formats} source=${source} operations=${chain} />`}
      ${source && !error && html`<${Widths} source=${source} operations=${chain} size=${size} text=${widths} setText=${setWidths} />`}
    </div>
    <p class="status" role="status">${message}</p>
  </div>`;
}

function Source({ config, source, onText, onFile, onSample }) {
  const [text, setText] = useState(source?.text ?? "");
  useEffect(() => setText(source?.text ?? ""), [source]);
  const submit = (event) => {
    event.preventDefault();
    if (text.trim()) onText(text.trim());
  };
  const hint = config.aliases.length ? `, or ${config.aliases[0]}:path` : "";
  return html`<section class="panel" aria-labelledby="source-title">
    <h2 id="source-title">Source</h2>
    <ul class="samples" aria-label="Sample pictures">
      ${config.samples.map(
        (sample) => html`<li>
          <button
            type="button"
            title=${sample.title}
            aria-pressed=${(source?.text ?? source?.name) === (source?.text ? sample.source : sample.name)}
            onClick=${() => onSample(sample)}
          >
            <img src=${`${document.getElementById("app").dataset.base}/samples/${sample.name}`} alt=${sample.title} loading="lazy" />
          </button>
        </li>`,
      )}
    </ul>
    <form class="row" onSubmit=${submit}>
      <label for="source">URL${hint}</label>
      <input id="source" type="text" spellcheck=${false} autocomplete="off" value=${text} placeholder="https://cdn.example.com/u/42.jpg" onInput=${(event) => setText(event.target.value)} />
      <button type="submit">Use</button>
    </form>
    ${config.can_upload &&
    html`<p class="row">
      <label for="file">Upload, or drop a file anywhere</label>
      <input id="file" type="file" accept="image/*" onChange=${(event) => onFile(event.target.files[0])} />
    </p>`}
    ${source?.file && html`<p class="quiet">Uploaded: ${source.name}</p>`}
  </section>`;
}

function useRendition(source, chain) {
  const [state, setState] = useState({ result: null, error: null, isBusy: false });
  const [size, setSize] = useState(null);
  const isFirst = useRef(true);
  useEffect(() => {
    if (!source) return undefined;
    const stop = new AbortController();
    setState((before) => ({ ...before, isBusy: true }));
    const start = async () => {
      try {
        const result = await render(source, chain, stop.signal);
        if (stop.signal.aborted) return;
        setSize(null);
        setState({ result, error: null, isBusy: false });
      } catch (error) {
        if (error.name !== "AbortError") setState({ result: null, error, isBusy: false });
      }
    };
    const timer = setTimeout(start, isFirst.current ? 0 : PAUSE_MS);
    isFirst.current = false;
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [source, chain]);
  return { ...state, size, setSize };
}

function useOriginal(source) {
  const [original, setOriginal] = useState(null);
  useEffect(() => {
    setOriginal(null);
    if (!source) return undefined;
    const stop = new AbortController();
    render(source, [{ type: "resize", width_in_px: 1600, height_in_px: 1600, fit: "inside" }], stop.signal).then(
      setOriginal,
      () => undefined, // the result says what is wrong
    );
    return () => stop.abort();
  }, [source]);
  return original;
}

function useInfo(source, ratio) {
  const [info, setInfo] = useState(null);
  const key = JSON.stringify(ratio);
  useEffect(() => setInfo(null), [source]);
  useEffect(() => {
    if (!source) return undefined;
    const stop = new AbortController();
    fetchInfo(source, ratio ? [ratio] : [], stop.signal).then(setInfo, () => undefined);
    return () => stop.abort();
  }, [source, key]);
  return info;
}

const root = document.getElementById("app");
root.replaceChildren();
mount(html`<${App} />`, root);
