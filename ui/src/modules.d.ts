declare module "swagger-ui-dist/swagger-ui-es-bundle.js" {
  /** The settings that are used here; all of them are in Swagger UI's documentation, under Configuration. */
  interface Settings {
    plugins: object[];
    spec: object;
    domNode: Element;
    deepLinking: boolean;
    displayRequestDuration: boolean;
    filter: boolean;
    validatorUrl: null;
    withCredentials: boolean;
  }
  export default function SwaggerUI(settings: Settings): unknown;
}
