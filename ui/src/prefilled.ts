import { MULTILINE } from "./multiline.ts";

/** The parts of an OpenAPI document that are looked at here. */
interface Schema {
  properties?: Record<string, Record<string, unknown>>;
}
interface MediaType {
  schema?: Schema;
  example?: Record<string, unknown>;
  examples?: Record<string, { value?: Record<string, unknown> }>;
}
interface Operation {
  requestBody?: { content?: Record<string, MediaType> };
}
export interface Spec {
  paths: Record<string, Record<string, Operation>>;
}

const FORMS = ["multipart/form-data", "application/x-www-form-urlencoded"];

/**
 * Has Swagger UI fill forms with the example of the contract, and leave empty what that does not have.
 *
 * By itself it fills each text with "string", and would send that.
 */
export function prefilled(spec: Spec): Spec {
  for (const item of Object.values(spec.paths)) {
    for (const operation of Object.values(item)) {
      for (const form of FORMS) {
        const media = operation.requestBody?.content?.[form];
        if (media) fill(media);
      }
    }
  }
  return spec;
}

function fill(media: MediaType): void {
  const first = Object.values(media.examples ?? {})[0];
  const example = media.example ?? first?.value ?? {};
  for (const [name, property] of Object.entries(media.schema?.properties ?? {})) {
    // A file can't be filled in.
    if (property.format === "binary") continue;
    const value = name in example ? example[name] : (property.default ?? "");
    property.example = value;
    if (typeof value === "string" && value.includes("\n")) property[MULTILINE] = true;
  }
}
