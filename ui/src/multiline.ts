/** What Swagger UI hands to the component of a text field. */
interface Properties {
  value?: string;
  schema?: { get(name: string): unknown };
  onChange(value: string): void;
}
type Component = (properties: Properties) => unknown;
interface System {
  React: { createElement(kind: string | Component, properties: object): unknown };
}

/** Mark of the properties whose example has several lines. */
export const MULTILINE = "x-multiline";

/** A Swagger UI plugin: code is edited in a field of several lines, where Swagger UI's own would join them. */
export const multiline = {
  wrapComponents: {
    JsonSchema_string:
      (Original: Component, { React }: System): Component =>
      (properties) => {
        if (!properties.schema?.get(MULTILINE)) return React.createElement(Original, properties);
        return React.createElement("textarea", {
          className: "several-lines",
          rows: 12,
          value: properties.value ?? "",
          onChange: (event: { target: HTMLTextAreaElement }) => properties.onChange(event.target.value),
        });
      },
  },
};
