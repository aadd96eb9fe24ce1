import { zipSync } from "fflate";

/**
 * A file to deploy, and its path below the folder that it goes to.
 *
 * Its bytes are read when it is picked: once the file has changed on the disk, the browser would not read it again.
 */
export interface Picked {
  path: string;
  content: Uint8Array<ArrayBuffer>;
}

const DAG_FILE = /\.(py|zip)$/;

/** Hidden files and Python's caches stay where they are. */
function wanted(path: string): boolean {
  return path.split("/").every((part) => !part.startsWith(".") && part !== "__pycache__");
}

interface Named {
  path: string;
  file: File;
}

async function read(files: readonly Named[]): Promise<Picked[]> {
  return Promise.all(
    files
      .filter(({ path }) => wanted(path))
      .map(async ({ path, file }) => ({ path, content: new Uint8Array(await file.arrayBuffer()) })),
  );
}

/** What was chosen in a file dialog; of a folder its contents, without the folder's own name. */
export async function fromInput(input: HTMLInputElement): Promise<Picked[]> {
  const files = [...(input.files ?? [])];
  return read(
    files.map((file) => ({ file, path: file.webkitRelativePath.split("/").slice(1).join("/") || file.name })),
  );
}

/** What was dropped: files, or the contents of folders. */
export async function fromDrop(data: DataTransfer): Promise<Picked[]> {
  // Both have to be asked for before the first wait: the list is empty afterwards.
  const entries = [...data.items].map((item) => item.webkitGetAsEntry());
  const files = [...data.files];
  const found: Named[] = [];
  for (const [index, entry] of entries.entries()) {
    if (entry?.isDirectory) found.push(...(await below(entry as FileSystemDirectoryEntry, "")));
    else if (files[index]) found.push({ file: files[index], path: files[index].name });
  }
  return read(found);
}

async function below(folder: FileSystemDirectoryEntry, above: string): Promise<Named[]> {
  const reader = folder.createReader();
  const found: Named[] = [];
  // A reader gives a hundred entries or so at a time, and none at the end.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const entry of some) {
      const path = `${above}${entry.name}`;
      if (entry.isDirectory) {
        found.push(...(await below(entry as FileSystemDirectoryEntry, `${path}/`)));
      } else {
        const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
        found.push({ path, file });
      }
    }
  }
}

/** Whether it is one DAG file, which is deployed as it is, rather than files in an archive. */
export function isOneDagFile(picked: readonly Picked[]): boolean {
  return picked.length === 1 && DAG_FILE.test(picked[0]!.path) && !picked[0]!.path.includes("/");
}

/** One file as it is uploaded. */
export function asFile({ path, content }: Picked): File {
  return new File([content], path);
}

/** All of them in one archive. */
export function zipped(picked: readonly Picked[]): File {
  const members = Object.fromEntries(picked.map(({ path, content }) => [path, content]));
  return new File([zipSync(members) as Uint8Array<ArrayBuffer>], "files.zip", { type: "application/zip" });
}
