import { LitElement, html, nothing } from "lit";
import type { ChangeResult, Revision } from "@airflow-xtended/client";
import { CHANGED, explained, history } from "./api.ts";
import { sideBySide } from "./diff.ts";

const PAGE = 20;

interface Rollback {
  revision: Revision;
  diff: string;
  planned: ChangeResult;
}

/** Who changed what and when, what differs, and the way back. */
class HistoryPanel extends LitElement {
  static override properties = {
    revisions: { state: true },
    next: { state: true },
    trouble: { state: true },
    open: { state: true },
    rollback: { state: true },
    done: { state: true },
    busy: { state: true },
  };
  declare revisions: Revision[];
  declare next: string | null;
  declare trouble: string;
  declare open: { id: string; diff: string } | null;
  declare rollback: Rollback | null;
  declare done: string;
  declare busy: boolean;

  constructor() {
    super();
    this.revisions = [];
    this.next = null;
    this.trouble = this.done = "";
    this.open = this.rollback = null;
    this.busy = false;
  }

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener(CHANGED, this.reload);
    void this.reload();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener(CHANGED, this.reload);
  }

  // A difference that is open stays so: whoever has just asked for it must not lose it to a deploy.
  private reload = async (): Promise<void> => {
    await this.attempt(async () => {
      const page = await history.listRevisions({ limit: PAGE });
      this.revisions = page.revisions;
      this.next = page.nextCursor;
    });
  };

  private async older(): Promise<void> {
    await this.attempt(async () => {
      const page = await history.listRevisions({ limit: PAGE, cursor: this.next ?? undefined });
      this.revisions = [...this.revisions, ...page.revisions];
      this.next = page.nextCursor;
    });
  }

  private async attempt(work: () => Promise<void>): Promise<void> {
    this.busy = true;
    this.trouble = "";
    try {
      await work();
    } catch (error) {
      this.trouble = explained(error);
    } finally {
      this.busy = false;
    }
  }

  private async toggleDiff({ id }: Revision): Promise<void> {
    if (this.open?.id === id) {
      this.open = null;
      return;
    }
    await this.attempt(async () => {
      this.open = { id, diff: (await history.diffRevision({ revisionId: id })).diff };
    });
  }

  private async plan(revision: Revision): Promise<void> {
    this.done = "";
    await this.attempt(async () => {
      const planned = await history.rollback({ revision: revision.id, dryRun: true });
      const { diff } = await history.diffRevision({ revisionId: revision.id, against: "live" });
      this.rollback = { revision, diff, planned };
      await this.updateComplete;
      this.querySelector("dialog")!.showModal();
    });
  }

  private async confirm(): Promise<void> {
    const { revision } = this.rollback!;
    this.querySelector("dialog")!.close();
    await this.attempt(async () => {
      const result = await history.rollback({ revision: revision.id, otfSync: true });
      this.done = result.message;
      window.dispatchEvent(new Event(CHANGED));
    });
  }

  protected override render() {
    return html`
      <section aria-labelledby="history-title" aria-busy=${this.busy}>
        <h2 id="history-title">History</h2>
        <div role="status" aria-live="polite">
          ${this.trouble ? html`<p class="bad">${this.trouble}</p>` : nothing}
          ${this.done ? html`<p class="good">${this.done}</p>` : nothing}
        </div>
        ${this.revisions.length
          ? html`<ol class="timeline">
              ${this.revisions.map((revision, index) => this.entry(revision, index === 0))}
            </ol>`
          : html`<p>Nothing has been changed yet.</p>`}
        ${this.next ? html`<button ?disabled=${this.busy} @click=${this.older}>Older</button>` : nothing}
        <dialog aria-labelledby="rollback-title" @close=${() => (this.rollback = null)}>
          ${this.rollback ? this.question(this.rollback) : nothing}
        </dialog>
      </section>
    `;
  }

  private entry(revision: Revision, newest: boolean) {
    const { added, changed, deleted } = revision.files;
    const open = this.open?.id === revision.id;
    const what = revision.message.split("\n")[0];
    return html`<li>
      <h3>${what}</h3>
      <p>
        <strong>${revision.user}</strong>, <code>${revision.operation}</code>,
        <time datetime=${revision.time.toISOString()}>${revision.time.toLocaleString()}</time>
      </p>
      <p>
        ${[...added.map((path) => `+ ${path}`), ...changed.map((path) => `~ ${path}`), ...deleted.map((path) => `− ${path}`)]
          .slice(0, 10)
          .map((path) => html`<span class="file">${path}</span>`)}
        ${added.length + changed.length + deleted.length > 10
          ? html`<span>and ${added.length + changed.length + deleted.length - 10} more</span>`
          : nothing}
      </p>
      ${revision.dagIds.length ? html`<p>DAGs: ${revision.dagIds.join(", ")}</p>` : nothing}
      <p>
        <button aria-expanded=${open} @click=${() => this.toggleDiff(revision)}>
          ${open ? "Hide" : "Show"} the difference<span class="unseen"> of ${revision.id.slice(0, 12)}</span>
        </button>
        ${newest
          ? nothing
          : html`<button @click=${() => this.plan(revision)}>
              Roll back to this…<span class="unseen"> ${revision.id.slice(0, 12)}</span>
            </button>`}
      </p>
      ${open ? sideBySide(this.open!.diff) : nothing}
    </li>`;
  }

  private question({ revision, diff, planned }: Rollback) {
    const { added, changed, deleted } = planned.files;
    return html`<h2 id="rollback-title">Roll back to ${revision.id.slice(0, 12)}?</h2>
      <p>
        The folder becomes what it was after “${revision.message.split("\n")[0]}”: ${added.length} file(s) added,
        ${changed.length} changed, ${deleted.length} deleted${planned.removedDagIds?.length
          ? html`; these DAGs go: ${planned.removedDagIds.join(", ")}`
          : nothing}.
      </p>
      ${sideBySide(diff)}
      <form method="dialog" class="choices">
        <button type="button" class="primary" @click=${this.confirm}>Roll back</button>
        <button>Leave it as it is</button>
      </form>`;
  }
}

customElements.define("history-panel", HistoryPanel);
