/*
 * What somebody chose or dropped, file by file.
 *
 * A dropped folder is walked while its first files are being sent already: a browser gives its entries a hundred at a
 * time, and a folder may hold more than anybody wants to wait for.
 */

export interface Found {
  /** The folders above it, below the place where it was dropped: `A/B`; empty for none. */
  folder: string;
  /** `null`: an empty folder. */
  file: File | null;
}

/** Files of a file field; a chosen folder names the way to each. */
export async function* chosenEntries(files: FileList | File[]): AsyncGenerator<Found> {
  for (const file of [...files]) {
    const way = file.webkitRelativePath.split('/').slice(0, -1).join('/');
    yield { folder: way, file };
  }
}

/** Files and folders that were dropped. What is asked of the event is asked at once: it is empty afterwards. */
export function droppedEntries(transfer: DataTransfer): AsyncGenerator<Found> {
  const items = [...transfer.items].filter((item) => item.kind === 'file');
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? null);
  const files = items.map((item) => item.getAsFile());
  return walk(entries, files);
}

async function* walk(entries: (FileSystemEntry | null)[], files: (File | null)[]): AsyncGenerator<Found> {
  for (const [index, entry] of entries.entries()) {
    const file = files[index];
    if (entry) yield* inside(entry, '');
    else if (file) yield { folder: '', file };
  }
}

async function* inside(entry: FileSystemEntry, folder: string): AsyncGenerator<Found> {
  if (entry.isFile) {
    const file = await new Promise<File | null>((resolve) =>
      (entry as FileSystemFileEntry).file(resolve, () => resolve(null)),
    );
    if (file) yield { folder, file };
    return;
  }
  const own = folder ? `${folder}/${entry.name}` : entry.name;
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  let isEmpty = true;
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (some.length === 0) break;
    isEmpty = false;
    for (const child of some) yield* inside(child, own);
  }
  if (isEmpty) yield { folder: own, file: null };
}
