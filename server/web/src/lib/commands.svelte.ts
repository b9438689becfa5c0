/* What the palette offers: what can be done with what is chosen, and in the place that is open. */

import type { MenuItem } from '../parts/Menu.svelte';

export const commands: { ofSelection: MenuItem[]; ofPlace: MenuItem[] } = $state.raw({ ofSelection: [], ofPlace: [] });
