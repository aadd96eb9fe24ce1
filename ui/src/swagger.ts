import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";
import "swagger-ui-dist/swagger-ui.css";
import "./swagger.css";
import { multiline } from "./multiline.ts";
import { prefilled, type Spec } from "./prefilled.ts";
import { followAirflowsTheme } from "./theme.ts";

followAirflowsTheme();

// The page is served at <API>/ui/.
const answer = await fetch(new URL("../openapi.json", document.baseURI));
SwaggerUI({
  spec: prefilled((await answer.json()) as Spec),
  domNode: document.querySelector("#swagger-ui")!,
  deepLinking: true,
  displayRequestDuration: true,
  filter: true,
  plugins: [multiline],
  // Nothing of this page is asked of another host.
  validatorUrl: null,
  withCredentials: true,
});
