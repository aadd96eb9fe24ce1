import { html, nothing, type TemplateResult } from "lit";
import type { DagImportError } from "@airflow-xtended/client";

const AROUND = 4;

/** An import error beside the lines of code that it is about. */
export function codeWithErrors(error: DagImportError, source: string | null): TemplateResult {
  const { file, line, message } = error;
  const where = line ? `${file}, line ${line}` : file;
  if (source === null || !line) return html`<p class="bad"><strong>${where}</strong>: ${message}</p>`;
  const lines = source.split(/\r?\n/);
  const first = Math.max(1, line - AROUND);
  const shown = lines.slice(first - 1, line + AROUND);
  return html`<figure>
    <figcaption class="bad">${where}</figcaption>
    <div class="scroll" tabindex="0" role="region" aria-label="Code of ${file}">
      <table class="code">
        <tbody>
          ${shown.map((text, index) => {
            const number = first + index;
            const here = number === line;
            return html`<tr class=${here ? "here" : ""}>
                <th scope="row">${number}</th>
                <td><code>${text || " "}</code></td>
              </tr>
              ${here ? html`<tr class="message"><td></td><td>${message}</td></tr>` : nothing}`;
          })}
        </tbody>
      </table>
    </div>
  </figure>`;
}
