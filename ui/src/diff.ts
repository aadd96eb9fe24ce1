import { parsePatch } from "diff";
import { html, type TemplateResult } from "lit";

interface Side {
  number: number;
  text: string;
}
type Row = { old: Side | null; new: Side | null; same: boolean };

/** Lines of a hunk, those that went beside those that came in their place. */
export function rows(lines: readonly string[], oldStart: number, newStart: number): Row[] {
  const found: Row[] = [];
  const gone: Side[] = [];
  const come: Side[] = [];
  let [oldNumber, newNumber] = [oldStart, newStart];
  const settle = (): void => {
    for (let index = 0; index < Math.max(gone.length, come.length); index++) {
      found.push({ old: gone[index] ?? null, new: come[index] ?? null, same: false });
    }
    gone.length = come.length = 0;
  };
  for (const line of lines) {
    const [mark, text] = [line[0], line.slice(1)];
    if (mark === "-") gone.push({ number: oldNumber++, text });
    else if (mark === "+") come.push({ number: newNumber++, text });
    else if (mark === " ") {
      settle();
      found.push({ old: { number: oldNumber++, text }, new: { number: newNumber++, text }, same: true });
    }
  }
  settle();
  return found;
}

const half = (side: Side | null, kind: string) =>
  html`<td class="number">${side?.number ?? ""}</td>
    <td class=${side ? kind : "none"}><code>${side?.text || " "}</code></td>`;

/** Unified text, old and new side by side. */
export function sideBySide(unified: string): TemplateResult {
  if (!unified.trim()) return html`<p>Nothing differs.</p>`;
  const patches = parsePatch(unified).filter((patch) => patch.hunks.length);
  if (!patches.length) return html`<pre tabindex="0">${unified}</pre>`;
  return html`${patches.map((patch) => {
    const name = patch.newFileName === "/dev/null" ? patch.oldFileName : patch.newFileName;
    const file = name?.replace(/^[ab]\//, "") ?? "";
    return html`<figure>
      <figcaption>${file}</figcaption>
      <div class="scroll" tabindex="0" role="region" aria-label="Differences of ${file}">
        <table class="diff">
          <thead>
            <tr><th colspan="2" scope="colgroup">Before</th><th colspan="2" scope="colgroup">After</th></tr>
          </thead>
          ${patch.hunks.map(
            (hunk) => html`<tbody>
              ${rows(hunk.lines, hunk.oldStart, hunk.newStart).map(
                (row) =>
                  html`<tr>${half(row.old, row.same ? "same" : "gone")}${half(row.new, row.same ? "same" : "come")}</tr>`,
              )}
            </tbody>`,
          )}
        </table>
      </div>
    </figure>`;
  })}`;
}
