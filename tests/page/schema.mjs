// Values against the schemas of schemas/openapi.json: as much of JSON Schema as these use.

import { readFileSync } from "node:fs";

const document = JSON.parse(
  readFileSync(new URL("../../schemas/openapi.json", import.meta.url), "utf8"),
);

const typeOf = (value) => {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
};

/** What one keyword finds wrong with a value; `rest` is the whole schema. */
const KEYWORDS = {
  $ref: (value, reference, _, place) =>
    faultsOf(value, document.components.schemas[reference.split("/").at(-1)], place),
  type(value, types, _, place) {
    const found = typeOf(value);
    const isOne = [types].flat().some((one) => one === found || (one === "number" && found === "integer"));
    return isOne ? [] : [`${place}: ${found}`];
  },
  enum: (value, values, _, place) => (values.includes(value) ? [] : [`${place}: ${value}`]),
  pattern: (value, pattern, _, place) =>
    typeof value !== "string" || new RegExp(pattern, "u").test(value) ? [] : [`${place}: ${value}`],
  minimum: (value, least, _, place) => (!(value < least) ? [] : [`${place}: ${value}`]),
  maximum: (value, most, _, place) => (!(value > most) ? [] : [`${place}: ${value}`]),
  minItems: (value, least, _, place) => (!(value?.length < least) ? [] : [`${place}: too few`]),
  maxItems: (value, most, _, place) => (!(value?.length > most) ? [] : [`${place}: too many`]),
  items: (value, schema, _, place) =>
    Array.isArray(value)
      ? value.flatMap((item, index) => faultsOf(item, schema, `${place}/${index}`))
      : [],
  required: (value, names, _, place) =>
    names.filter((name) => value?.[name] === undefined).map((name) => `${place}/${name}: missing`),
  // A member that is not described is none that the gateway has.
  properties: (value, members, { additionalProperties = false }, place) =>
    typeOf(value) !== "object"
      ? []
      : Object.keys(value).flatMap((name) => {
          const schema = members[name] ?? additionalProperties;
          return schema
            ? faultsOf(value[name], schema, `${place}/${name}`)
            : [`${place}/${name}: not described`];
        }),
  additionalProperties: (value, schema, { properties }, place) =>
    properties || typeOf(value) !== "object"
      ? []
      : KEYWORDS.properties(value, {}, { additionalProperties: schema }, place),
  oneOf(value, schemas, _, place) {
    const faults = schemas.map((schema) => faultsOf(value, schema, place));
    return faults.some((one) => !one.length) ? [] : faults.flat();
  },
  description: () => [],
  format: () => [],
};

function faultsOf(value, schema, place) {
  return Object.entries(schema).flatMap(([keyword, rest]) => {
    if (!KEYWORDS[keyword]) throw new Error(`${place}: ${keyword} is not checked here`);
    return KEYWORDS[keyword](value, rest, schema, place);
  });
}

/** What is wrong with a value, by the schema of this name; as it would be read from JSON. */
export function faults(name, value) {
  const schema = { $ref: `#/components/schemas/${name}` };
  return faultsOf(JSON.parse(JSON.stringify(value)), schema, name);
}
