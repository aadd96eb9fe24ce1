import { LitElement, html, nothing } from "lit";
import { ProblemError, type ChangeResult, type DagImportError } from "@airflow-xtended/client";
import { CHANGED, deployment, explained } from "./api.ts";
import { codeWithErrors } from "./code.ts";
import { type Picked, asFile, fromDrop, fromInput, isOneDagFile, zipped } from "./files.ts";

/** Drop files, see what they would change or what is wrong with them, and deploy them. */
class DeployPanel extends LitElement {
  static override properties = {
    picked: { state: true },
    busy: { state: true },
    checked: { state: true },
    deployed: { state: true },
    trouble: { state: true },
    errors: { state: true },
    over: { state: true },
  };
  declare picked: Picked[];
  declare busy: boolean;
  declare checked: ChangeResult | null;
  declare deployed: ChangeResult | null;
  declare trouble: string;
  declare errors: Array<{ error: DagImportError; source: string | null }>;
  declare over: boolean;
  private turn = 0;
  private asked = "";

  constructor() {
    super();
    this.picked = [];
    this.busy = false;
    this.checked = this.deployed = null;
    this.trouble = "";
    this.errors = [];
    this.over = false;
  }

  // The page's one stylesheet is for all of it.
  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  private field(name: string): HTMLInputElement {
    return this.querySelector<HTMLInputElement>(`[name=${name}]`)!;
  }

  private async take(picked: Picked[]): Promise<void> {
    if (!picked.length) return;
    this.picked = picked;
    await this.check();
  }

  /** What decides whether the files can be deployed. */
  private place() {
    return { path: this.field("path").value.trim() || undefined, force: this.field("force").checked };
  }

  /** After an option was touched: a click on Deploy right after it must not be lost to a check of the same. */
  private async checkAgain(): Promise<void> {
    if (JSON.stringify(this.place()) !== this.asked) await this.check();
  }

  private async check(): Promise<void> {
    if (!this.picked.length) return;
    this.asked = JSON.stringify(this.place());
    // What is asked with other options in the meantime is what counts.
    const turn = this.turn + 1;
    const checked = await this.send(true);
    if (turn === this.turn) this.checked = checked;
  }

  private async deploy(): Promise<void> {
    this.deployed = await this.send(false);
    if (this.deployed) {
      this.picked = [];
      this.checked = null;
      window.dispatchEvent(new Event(CHANGED));
    }
  }

  private async send(dryRun: boolean): Promise<ChangeResult | null> {
    const turn = ++this.turn;
    this.busy = true;
    this.trouble = "";
    this.errors = [];
    this.checked = this.deployed = null;
    const options = {
      ...this.place(),
      unpause: this.field("unpause").checked,
      message: this.field("message").value.trim() || undefined,
      otfSync: !dryRun,
      dryRun,
    };
    try {
      return isOneDagFile(this.picked)
        ? await deployment.deployDag({ dagFile: asFile(this.picked[0]!), ...options })
        : await deployment.deployArchive({ archive: zipped(this.picked), ...options });
    } catch (error) {
      if (turn !== this.turn) return null;
      if (error instanceof ProblemError && error.importErrors.length) {
        this.showErrors(error.importErrors, options.path ?? "");
      } else {
        this.trouble = explained(error);
      }
      return null;
    } finally {
      if (turn === this.turn) this.busy = false;
    }
  }

  private showErrors(errors: readonly DagImportError[], folder: string): void {
    const above = folder ? `${folder.replace(/\/$/, "")}/` : "";
    const source = (file: string): string | null => {
      const picked = this.picked.find(({ path }) => above + path === file);
      return picked && file.endsWith(".py") ? new TextDecoder().decode(picked.content) : null;
    };
    this.errors = errors.map((error) => ({ error, source: source(error.file) }));
  }

  private onDrop = async (event: DragEvent): Promise<void> => {
    event.preventDefault();
    this.over = false;
    if (event.dataTransfer) await this.take(await fromDrop(event.dataTransfer));
  };

  private onPick = async (event: Event): Promise<void> => {
    const input = event.target as HTMLInputElement;
    const picked = await fromInput(input);
    // So that the same file can be chosen again once it has been mended.
    input.value = "";
    await this.take(picked);
  };

  protected override render() {
    return html`
      <section aria-labelledby="deploy-title">
        <h2 id="deploy-title">Deploy</h2>
        <div
          class="drop ${this.over ? "over" : ""}"
          @dragover=${(event: DragEvent) => {
            event.preventDefault();
            this.over = true;
          }}
          @dragleave=${() => (this.over = false)}
          @drop=${this.onDrop}
        >
          <p>Drop a DAG file, a zip or a folder here. It is parsed first; nothing changes before you say so.</p>
          <p class="choices">
            <label class="button">Choose files<input type="file" name="files" multiple @change=${this.onPick} /></label>
            <label class="button"
              >Choose a folder<input type="file" name="folder" webkitdirectory @change=${this.onPick}
            /></label>
          </p>
        </div>
        <div class="options">
          <label>Folder <input name="path" placeholder="the DAG folder itself" @change=${this.checkAgain} /></label>
          <label>Why <input name="message" maxlength="2000" /></label>
          <label class="check"
            ><input type="checkbox" name="force" @change=${this.checkAgain} /> Replace files that exist</label
          >
          <label class="check"><input type="checkbox" name="unpause" /> Unpause the DAGs</label>
        </div>
        <div class="outcome" role="status" aria-live="polite" aria-busy=${this.busy}>
          ${this.busy ? html`<p>Checking ${this.picked.length} file(s)…</p>` : nothing}
          ${this.trouble ? html`<p class="bad">${this.trouble}</p>` : nothing}
          ${this.errors.length ? html`<p class="bad">Nothing has changed. Mend this, then drop it again.</p>` : nothing}
          ${this.errors.map(({ error, source }) => codeWithErrors(error, source))}
          ${this.checked ? this.summary(this.checked, "Nothing is wrong with it.") : nothing}
          ${this.deployed ? this.summary(this.deployed, this.deployed.message) : nothing}
        </div>
        ${this.checked
          ? html`<button class="primary" ?disabled=${this.busy} @click=${this.deploy}>Deploy</button>`
          : nothing}
        ${this.picked.length && this.trouble
          ? html`<button ?disabled=${this.busy} @click=${this.check}>Check again</button>`
          : nothing}
      </section>
    `;
  }

  private summary(result: ChangeResult, said: string) {
    const { added, changed, deleted } = result.files;
    const list = (title: string, names: readonly string[] | undefined) =>
      names?.length ? html`<dt>${title}</dt><dd>${names.join(", ")}</dd>` : nothing;
    return html`<p class="good">${said}</p>
      <dl>
        ${list("Added", added)} ${list("Changed", changed)} ${list("Deleted", deleted)}
        ${list("DAGs", result.dagIds)} ${list("DAGs that go", result.removedDagIds)}
        ${list("Warnings", result.warnings)}
      </dl>`;
  }
}

customElements.define("deploy-panel", DeployPanel);
