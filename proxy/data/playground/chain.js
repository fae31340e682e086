// The chain of operations: add, edit, move by dragging or with buttons, remove.

import { html, useState } from "./preact-htm.js";
import { parseValue, startValues } from "./schema.js";

const HEX = /^#[0-9a-f]{6}$/;
const BARE = /^(?:[0-9a-f]{3}|[0-9a-f]{6})$/i;
const canvas = document.createElement("canvas").getContext("2d");
let nextId = 1;
export const newId = () => nextId++;

export function Chain({ operations, steps, onChange, error, announce, maximum }) {
  const [adding, setAdding] = useState("smart_crop");
  const [dragged, setDragged] = useState(null);
  const byName = Object.fromEntries(operations.map((operation) => [operation.name, operation]));

  const add = (event) => {
    event.preventDefault();
    onChange([...steps, { id: newId(), type: adding, values: startValues(byName[adding]) }]);
    announce(`${adding} added as operation ${steps.length + 1}`);
  };
  const move = (from, to) => {
    if (to < 0 || to >= steps.length || from === to) return;
    const moved = [...steps];
    const [step] = moved.splice(from, 1);
    moved.splice(to, 0, step);
    onChange(moved);
    announce(`${step.type} is now operation ${to + 1} of ${steps.length}`);
  };
  const remove = (index) => {
    onChange(steps.filter((_, other) => other !== index));
    announce(`${steps[index].type} removed`);
    document.getElementById("add-operation").focus();
  };

  return html`<section class="panel" aria-labelledby="chain-title">
    <h2 id="chain-title">Operations</h2>
    <ol class="chain">
      ${steps.map(
        (step, index) => html`<li
          key=${step.id}
          class=${dragged === index ? "step dragged" : "step"}
          onDragOver=${(event) => dragged !== null && event.preventDefault()}
          onDrop=${(event) => {
            if (dragged === null) return;
            event.preventDefault();
            event.stopPropagation();
            move(dragged, index);
            setDragged(null);
          }}
        >
          <${Step}
            key=${step.type}
            step=${step}
            index=${index}
            count=${steps.length}
            operation=${byName[step.type]}
            error=${error?.operation === index ? error : null}
            onMove=${(to) => move(index, to)}
            onRemove=${() => remove(index)}
            onDragStart=${() => setDragged(index)}
            onDragEnd=${() => setDragged(null)}
            onChange=${(values) =>
              onChange(steps.map((other) => (other.id === step.id ? { ...other, values } : other)))}
          />
        </li>`,
      )}
    </ol>
    ${!steps.length && html`<p class="quiet">No operation yet: the picture stays as it is.</p>`}
    <form class="row" onSubmit=${add}>
      <label for="add-operation">Add</label>
      <select
        id="add-operation"
        value=${adding}
        onChange=${(event) => setAdding(event.target.value)}
      >
        ${operations.map((operation) => html`<option value=${operation.name}>${operation.name}</option>`)}
      </select>
      <button type="submit" class="main" disabled=${steps.length >= maximum}>Add operation</button>
    </form>
    <p class="quiet">${byName[adding]?.summary}</p>
  </section>`;
}

function Step({ step, index, count, operation, error, onMove, onRemove, onChange, onDragStart, onDragEnd }) {
  const [isOpen, setOpen] = useState(true);
  const set = (name, value) => {
    const values = { ...step.values };
    if (value === undefined) delete values[name];
    else values[name] = value;
    onChange(values);
  };
  // Decided once: a field that gets a value stays where it is while you type.
  const [first] = useState(() => {
    const found = operation.fields.filter((field) => field.isRequired || field.name in step.values);
    return found.length && operation.fields.length > found.length + 1 ? found : operation.fields;
  });
  const rest = operation.fields.filter((field) => !first.includes(field));
  const show = (fields) => fields.map(
    (field) => html`<${Field}
      key=${field.name}
      id=${`f-${step.id}-${field.name}`}
      field=${field}
      value=${step.values[field.name]}
      isWrong=${error?.field === field.name}
      errorId=${error ? `e-${step.id}` : undefined}
      onChange=${(value) => set(field.name, value)}
    />`,
  );
  const name = `${step.type}, operation ${index + 1} of ${count}`;
  return html`<div role="group" aria-label=${name}>
    <div class="step-head">
      <span
        class="handle"
        draggable="true"
        aria-hidden="true"
        title="Drag to move"
        onDragStart=${(event) => {
          event.dataTransfer.setData("text/plain", step.type);
          event.dataTransfer.effectAllowed = "move";
          onDragStart();
        }}
        onDragEnd=${onDragEnd}
        >⠿</span
      >
      <button
        type="button"
        class="name"
        aria-expanded=${isOpen}
        title=${operation.summary}
        onClick=${() => setOpen(!isOpen)}
      >
        ${step.type}
      </button>
      <button type="button" aria-label=${`Move ${step.type} up`} disabled=${index === 0} onClick=${() => onMove(index - 1)}>↑</button>
      <button type="button" aria-label=${`Move ${step.type} down`} disabled=${index === count - 1} onClick=${() => onMove(index + 1)}>↓</button>
      <button type="button" aria-label=${`Remove ${step.type}`} onClick=${onRemove}>✕</button>
    </div>
    ${isOpen &&
    html`<div class="fields">
      ${show(first)}
      ${rest.length > 0 &&
      html`<details class="more" open=${rest.some(({ name }) => name === error?.field) || undefined}>
        <summary>More fields</summary>
        <div class="fields">${show(rest)}</div>
      </details>`}
    </div>`}
    ${error && html`<p class="error" id=${`e-${step.id}`}>${error.message}</p>`}
  </div>`;
}

function Field({ id, field, value, isWrong, errorId, onChange }) {
  const shown = value === undefined ? "" : Array.isArray(value) ? value.join(",") : String(value);
  const hint = field.default === null ? (field.isRequired ? "" : "none") : String(field.default);
  const common = {
    id,
    "aria-describedby": isWrong ? `${errorId} ${id}-help` : `${id}-help`,
    "aria-invalid": isWrong ? "true" : undefined,
    "aria-required": field.isRequired ? "true" : undefined,
  };
  const changed = (event) => onChange(parseValue(field, event.target.value));
  let control;
  if (field.kind === "choice" || field.kind === "boolean") {
    const words = field.kind === "boolean" ? ["true", "false"] : field.words;
    control = html`<select ...${common} value=${shown} onChange=${changed}>
      ${!field.isRequired && html`<option value="">${hint} (default)</option>`}
      ${words.map((word) => html`<option value=${word}>${word}</option>`)}
    </select>`;
  } else if (field.kind === "color") {
    control = html`<span class="pair">
      <input type="color" aria-label=${`${field.label}: pick`} value=${toHex(shown || hint)} onInput=${changed} />
      <input type="text" ...${common} value=${shown} placeholder=${hint} onInput=${changed} />
    </span>`;
  } else if (field.kind === "number") {
    control = html`<input
      type="number"
      ...${common}
      value=${shown}
      min=${field.minimum}
      max=${field.maximum}
      step=${field.step}
      placeholder=${hint}
      onInput=${changed}
    />`;
  } else {
    const list = field.suggestions.length || field.words.length ? `${id}-list` : undefined;
    control = html`<input type="text" ...${common} value=${shown} placeholder=${hint} list=${list} onInput=${changed} />
      ${list &&
      html`<datalist id=${list}>
        ${[...new Set([...field.suggestions, ...field.words])].map((word) => html`<option value=${word} />`)}
      </datalist>`}`;
  }
  return html`<div class="field">
    <label for=${id}>${field.label}${field.unit && html` <small>${field.unit}</small>`}</label>
    ${control}
    <small class="help" id=${`${id}-help`}>${field.help}${bounds(field)}</small>
  </div>`;
}

// A color as a color control has it. Canvases know every color of CSS, and keep what is none.
function toHex(text) {
  canvas.fillStyle = "#000000";
  canvas.fillStyle = BARE.test(text) ? `#${text}` : text;
  return HEX.test(canvas.fillStyle) ? canvas.fillStyle : "#000000";
}

function bounds(field) {
  if (field.kind !== "number" || field.minimum === undefined) return "";
  return ` ${field.minimum.toLocaleString("en")} to ${field.maximum?.toLocaleString("en") ?? "…"}.`;
}
