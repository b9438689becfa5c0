/* Who can see a row, in few words; the details say it in full. */

import { t } from '../i18n/index';
import { SHARED } from './api';
import type { Item } from './list';

export function seenBy(item: Item): string {
  const words: string[] = [];
  if (item.mount) {
    const name = item.mount.from.display_name || item.mount.from.name;
    words.push(item.mount.kind === 'group' ? t.files.fromGroup(name) : t.files.fromPerson(name));
  }
  if (item.shared & SHARED.link) words.push(t.files.withLink);
  if (item.shared & SHARED.groups) words.push(t.files.withGroups);
  if (item.shared & SHARED.people) words.push(t.files.withPeople);
  return words.length > 0 ? words.join(' · ') : t.files.onlyYou;
}
