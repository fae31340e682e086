// Read the operations' JSON schemas: which fields there are and how each is edited.

export function readOperations(schemas) {
  return schemas.map((schema) => {
    const [name] = schema.properties.type.enum;
    const [summary, ...more] = schema.description.replace(/\n +/g, "\n").split("\n\n");
    const fields = Object.entries(schema.properties)
      .filter(([field]) => field !== "type")
      .map(([field, property]) => readField(field, property, schema.required.includes(field)));
    return { name, summary: plain(summary), description: plain(more.join("\n\n")), fields };
  });
}

// The operator's presets as one more kind of step: links keep their names.
export function presetStep(presets) {
  const name = {
    ...readField("name", { enum: presets, description: "A preset of this server; the link keeps its name." }, true),
    kind: "choice",
    words: presets,
  };
  return { name: "preset", summary: "Do what a preset of this server says.", description: "", fields: [name] };
}

function plain(text) {
  return text.replaceAll("`", "").replace(/\n(?!\n)/g, " ");
}

function readField(name, property, isRequired) {
  const choices = (property.anyOf ?? [property]).filter((choice) => choice.type !== "null");
  const isColor = choices.some((choice) => choice.pattern?.includes("0-9a-fA-F"));
  const numeric = readNumeric(choices.filter((choice) => ["integer", "number"].includes(choice.type)));
  const words = choices.flatMap((choice) => choice.enum ?? []);
  const title = choices.map((choice) => choice.title ?? "").find(Boolean) ?? "";
  const points = [...title.matchAll(/`([a-z]+)`/g)].map((match) => match[1]);
  let kind = "text";
  if (choices.some((choice) => choice.type === "boolean")) kind = "boolean";
  else if (choices.some((choice) => ["array", "object"].includes(choice.type))) kind = "json";
  else if (isColor) kind = "color";
  else if (numeric && !words.length) kind = "number";
  else if (words.length && !numeric) kind = "choice";
  return {
    name,
    kind,
    isRequired,
    label: name.replace(/_in_(px|degrees|percent)$/, "").replaceAll("_", " "),
    unit: { px: "px", degrees: "°", percent: "%" }[name.match(/_in_(\w+)$/)?.[1]] ?? "",
    help: plain(property.description ?? ""),
    default: property.default ?? null,
    minimum: numeric?.minimum,
    maximum: numeric?.maximum,
    step: numeric?.step,
    isNumeric: Boolean(numeric),
    words,
    canBeOpen: choices.every(({ type, title: form, enum: listed }) => {
      return !["array", "object"].includes(type) && (type !== "string" || Boolean(form || property.title || listed));
    }),
    suggestions: kind === "text" ? [...words, ...points] : [],
  };
}

// One control for all numbers of a field: pixels, and shares of a side below 1.
function readNumeric(choices) {
  if (!choices.length) return undefined;
  const known = (values) => values.filter((value) => value !== undefined);
  const least = known(choices.map((choice) => choice.minimum ?? choice.exclusiveMinimum));
  const most = known(choices.map((choice) => choice.maximum ?? choice.exclusiveMaximum));
  return {
    minimum: least.length ? Math.min(...least) : undefined,
    maximum: most.length ? Math.max(...most) : undefined,
    step: choices.every((choice) => choice.type === "integer") ? 1 : "any",
  };
}

const STARTS = {
  width_in_px: 800,
  height_in_px: 600,
  width: 400,
  height: 400,
  left_in_px: 0,
  top_in_px: 0,
  right_in_px: 20,
  bottom_in_px: 20,
  angle_in_degrees: 90,
  radius_in_px: 40,
  ratio: "1x1",
  hex_color: "#ff8800",
  text: "Framekeep",
  format: "webp",
  source: "demo:logo.png",
  max_file_size_in_bytes: 100000,
  brightness: 1.1,
  number: 1,
  first: 1,
  last: 1,
  quality: 80,
};
const MIDDLE = 10;
// Operations that need some of their fields though none is required, or do nothing without.
const NEEDED = {
  crop: ["ratio"],
  modulate: ["brightness"],
  quality: ["quality"],
  resize: ["width_in_px"],
  smart_crop: ["width_in_px", "height_in_px"],
  thumbnail: ["width_in_px"],
};

// Values that make a new operation valid at once, so that adding one shows something.
export function startValues(operation) {
  const values = {};
  for (const field of operation.fields) {
    if (!field.isRequired && !NEEDED[operation.name]?.includes(field.name)) continue;
    if (field.name in STARTS) values[field.name] = STARTS[field.name];
    else if (field.kind === "number") {
      values[field.name] = Math.min(field.maximum ?? MIDDLE, Math.max(field.minimum ?? 1, MIDDLE));
    } else if (field.words.length) values[field.name] = field.words[0];
    else values[field.name] = "";
  }
  return values;
}

// The value of a form control as JSON; undefined leaves the field out.
export function parseValue(field, text) {
  if (text === "" || text === null) return undefined;
  if (field.kind === "boolean") return text === "true";
  if (field.isNumeric && !field.words.includes(text) && text.trim() !== "" && !Number.isNaN(Number(text))) {
    return Number(text);
  }
  if (field.kind === "json") {
    try {
      return JSON.parse(text);
    } catch {
      return text.split(",").map((part) => part.trim());
    }
  }
  return text;
}

export function toOperations(steps) {
  return steps.map(({ type, values }) => ({
    type,
    ...Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)),
  }));
}
