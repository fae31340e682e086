// A link in which some fields are open: signed once, and each page chooses within the values.

import { html, useEffect, useState } from "./preact-htm.js";
import { makeLinks } from "./api.js";
import { CopyText } from "./snippets.js";

const PAUSE_MS = 250; // typing asks the server once, not for each key
const STARTS = { width_in_px: "320, 640, 960, 1280", format: "avif, webp, jpeg" };

const keyOf = ({ step, field }) => `${step}.${field}`;

// Values that a field may start with: its words, or the value that it has.
function startOptions(field, value) {
  if (field.name in STARTS) return STARTS[field.name];
  if (field.kind === "boolean") return "true, false";
  if (field.kind === "choice") return field.words.join(", ");
  return String(value ?? field.default ?? field.minimum ?? "");
}

// What a page does, without a key: the choice stands between the signature and the steps.
function chooseInLink(path, base, values) {
  const [signature, ...rest] = path.slice(base.length + 1).split("/");
  return [`${base}/${signature}`, `choose:${values.join(":")}`, ...rest].join("/");
}

function useRule(source, operations, open, roundUp) {
  const [state, setState] = useState({ link: null, error: "" });
  const key = JSON.stringify([operations, open, roundUp]);
  useEffect(() => {
    if (!open.length) {
      setState({ link: null, error: "" });
      return undefined;
    }
    const stop = new AbortController();
    const item = { source: source.text, operations, open, round_up: roundUp };
    const start = async () => {
      try {
        const [link] = await makeLinks([item], stop.signal);
        setState(link.error ? { link: null, error: link.error } : { link, error: "" });
      } catch (error) {
        if (error.name !== "AbortError") setState({ link: null, error: error.message });
      }
    };
    const timer = setTimeout(start, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [source, key]);
  return state;
}

// `steps` are those of the chain, `operations` the same as the server takes them.
export function RuleLink({ source, kinds, steps, operations, base, announce }) {
  const [opened, setOpened] = useState([]);
  const [roundUp, setRoundUp] = useState(false);
  const [chosen, setChosen] = useState({});
  const byName = Object.fromEntries(kinds.map((kind) => [kind.name, kind]));
  const fields = steps.flatMap((step, index) =>
    byName[step.type].fields
      .filter((field) => field.canBeOpen)
      .map((field) => ({ step: step.id, index, field, type: step.type, value: step.values[field.name] })),
  );
  // In the order of the link; what was opened in a step that is gone is closed.
  const rows = fields.flatMap((one) => {
    const found = opened.find((other) => keyOf(other) === `${one.step}.${one.field.name}`);
    return found ? [{ ...one, text: found.text }] : [];
  });
  const isOpen = (one) => rows.some((row) => row.step === one.step && row.field.name === one.field.name);
  const closed = fields.filter((one) => !isOpen(one));
  const open = rows.map((row) => ({ operation: row.index, field: row.field.name, values: row.text }));
  const { link, error } = useRule(source, operations, open, roundUp);

  const title = (one) => `${one.index + 1}. ${one.type}: ${one.field.label}`;
  const add = (event) => {
    event.preventDefault();
    const one = closed[new FormData(event.target).get("field")];
    const text = startOptions(one.field, one.value);
    setOpened([...opened, { step: one.step, field: one.field.name, text }]);
    announce(`${one.type}: ${one.field.label} is open`);
  };
  const write = (row, text) =>
    setOpened(opened.map((other) => (keyOf(other) === `${row.step}.${row.field.name}` ? { ...other, text } : other)));
  const close = (row) => {
    setOpened(opened.filter((other) => keyOf(other) !== `${row.step}.${row.field.name}`));
    announce(`${row.type}: ${row.field.label} has one value again`);
    document.getElementById("open-field").focus();
  };

  return html`<details class="panel" id="rule">
    <summary><h2>One link for many values</h2></summary>
    <p class="quiet">Leave fields open in a link that is signed once. Each page, or the browser itself, chooses within their values and needs no key.</p>
    <ul class="open-fields" aria-label="Open fields">
      ${rows.map(
        (row, index) => html`<li key=${`${row.step}.${row.field.name}`}>
          <label for=${`open-${index}`}>${title(row)}</label>
          <span class="pair">
            <input id=${`open-${index}`} type="text" spellcheck=${false} autocomplete="off" aria-describedby="open-help" value=${row.text} onInput=${(event) => write(row, event.target.value)} />
            <button type="button" aria-label=${`Close ${title(row)}`} onClick=${() => close(row)}>✕</button>
          </span>
        </li>`,
      )}
    </ul>
    <p class="quiet" id="open-help">A list such as 320, 640, 960, or a range such as 100..2000..100: first, last and step.</p>
    <form class="row" onSubmit=${add}>
      <label for="open-field">Field to leave open</label>
      <select id="open-field" name="field">
        ${closed.map((one, index) => html`<option key=${title(one)} value=${index}>${title(one)}</option>`)}
      </select>
      <button type="submit" disabled=${!closed.length}>Leave it open</button>
    </form>
    ${rows.length > 0 &&
    html`<p class="row"><label class="check">
      <input type="checkbox" checked=${roundUp} onChange=${(event) => setRoundUp(event.target.checked)} />
      Other numbers go up to the next value (round:up)
    </label></p>`}
    ${error && html`<p class="error" role="alert">${error}</p>`}
    ${link && html`<${Choice} link=${link} base=${base} chosen=${chosen} setChosen=${setChosen} announce=${announce} />`}
  </details>`;
}

function Choice({ link, base, chosen, setChosen, announce }) {
  const { fields, renditions } = link.rule;
  const names = fields.map(({ label }, index) => `${index} ${label}`);
  const values = fields.map(({ options }, index) => {
    const value = chosen[names[index]];
    return options.includes(value) ? value : options[0];
  });
  const path = chooseInLink(link.path, base, values);
  return html`<p id="renditions" role="status">
      <strong>${renditions.toLocaleString("en")}</strong> ${renditions === 1 ? "rendition" : "renditions"} of one original at most.
    </p>
    <div class="fields">
      ${fields.map(
        ({ label, options }, index) => html`<div class="field" key=${names[index]}>
          <label for=${`choose-${index}`}>Choose ${label}</label>
          <select id=${`choose-${index}`} value=${values[index]} onChange=${(event) => setChosen({ ...chosen, [names[index]]: event.target.value })}>
            ${options.map((option) => html`<option value=${option}>${option}</option>`)}
          </select>
        </div>`,
      )}
    </div>
    <h3>The link that a browser fills in</h3>
    <${CopyText} id="chosen-link" label="Link with a choice" text=${location.origin + path} announce=${announce} href=${path} />
    <p><img class="chosen" src=${path} alt="Result of this choice" /></p>
    <h3>The link that is signed</h3>
    <p class="quiet">Give it to a page, whose code adds the choice: <code>choose</code> of the clients does it, and the loaders for Next.js, Nuxt, Astro and unpic.</p>
    <${CopyText} id="rule-link" label="Link without a choice" text=${location.origin + link.path} announce=${announce} />`;
}
