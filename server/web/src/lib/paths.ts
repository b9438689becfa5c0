/* Paths as the server writes them: they begin with a slash, the root alone ends with one. */

export function join(folder: string, name: string): string {
  return folder === '/' ? `/${name}` : `${folder}/${name}`;
}

export function parentOf(path: string): string {
  const at = path.lastIndexOf('/');
  return at <= 0 ? '/' : path.slice(0, at);
}

export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** Whether `path` is `folder` or lies below it. */
export function isWithin(path: string, folder: string): boolean {
  return folder === '/' || path === folder || path.startsWith(`${folder}/`);
}

/** The folders on the way to a path, the root left out: `/A/B` → `/A`, `/A/B`. */
export function steps(path: string): string[] {
  const names = path.split('/').filter(Boolean);
  return names.map((_, index) => `/${names.slice(0, index + 1).join('/')}`);
}

/** The name without its ending, and the ending with its dot; what begins with a dot has none. */
export function splitName(name: string): [stem: string, ending: string] {
  const at = name.lastIndexOf('.');
  return at <= 0 ? [name, ''] : [name.slice(0, at), name.slice(at)];
}

/** A name like this one that `isTaken` does not know: `a.txt` → `a (2).txt`. */
export function freeName(name: string, isTaken: (name: string) => boolean): string {
  if (!isTaken(name)) return name;
  const [stem, ending] = splitName(name);
  const plain = stem.replace(/ \(\d+\)$/, '');
  for (let number = 2; ; number += 1) {
    const other = `${plain} (${number})${ending}`;
    if (!isTaken(other)) return other;
  }
}

/** Why a name cannot be given; `null`: it can. */
export function faultOfName(name: string): 'empty' | 'slash' | 'dots' | 'long' | null {
  if (name.trim() === '') return 'empty';
  if (name.includes('/') || name.includes('\0')) return 'slash';
  if (name === '.' || name === '..') return 'dots';
  return new TextEncoder().encode(name).length > 255 ? 'long' : null;
}
