import { LitElement, html, nothing } from "lit";
import { ProblemError, type Operation } from "@airflow-xtended/client";
import { CHANGED, explained, operations } from "./api.ts";

const IDLE_MS = 15_000;
const RUNNING_MS = 1_000;
const STAGES = ["listed", "fetched", "parsed", "applied"] as const;

/** Syncs that go on in the background, with how far they are. */
class SyncsPanel extends LitElement {
  static override properties = { running: { state: true }, trouble: { state: true } };
  declare running: Operation[];
  declare trouble: string;
  private timer = 0;

  constructor() {
    super();
    this.running = [];
    this.trouble = "";
  }

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    void this.look();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.clearTimeout(this.timer);
  }

  private look = async (): Promise<void> => {
    window.clearTimeout(this.timer);
    const before = this.running.length;
    try {
      this.running = document.hidden ? this.running : (await operations.listOperations({ state: "running" })).operations;
      this.trouble = "";
    } catch (error) {
      this.running = [];
      // Who may not see them is not told again and again.
      if (error instanceof ProblemError && [401, 403].includes(error.status)) return;
      this.trouble = explained(error);
    }
    if (this.running.length < before) window.dispatchEvent(new Event(CHANGED));
    this.timer = window.setTimeout(this.look, this.running.length ? RUNNING_MS : IDLE_MS);
  };

  private async cancel(id: string): Promise<void> {
    try {
      await operations.cancelOperation({ operationId: id });
    } catch (error) {
      this.trouble = explained(error);
    }
    await this.look();
  }

  protected override render() {
    return html`<section aria-labelledby="syncs-title">
      <h2 id="syncs-title">Running syncs</h2>
      ${this.trouble ? html`<p class="bad">${this.trouble}</p>` : nothing}
      ${this.running.length
        ? html`<ul class="syncs">
            ${this.running.map((operation) => this.entry(operation))}
          </ul>`
        : html`<p>None.</p>`}
    </section>`;
  }

  private entry({ id, operation, user, stage, counts }: Operation) {
    return html`<li>
      <p><strong>${operation}</strong> by ${user}: ${stage ?? "starting"}</p>
      ${STAGES.map(
        (each) =>
          html`<label
            >${each}
            <progress max=${Math.max(counts.listed, 1)} value=${counts[each]}></progress>
            ${counts[each]}</label
          >`,
      )}
      <button @click=${() => this.cancel(id)}>Cancel<span class="unseen"> ${operation}</span></button>
    </li>`;
  }
}

customElements.define("syncs-panel", SyncsPanel);
