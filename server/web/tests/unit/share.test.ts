import { describe, expect, it } from 'vitest';
import { FILE, FOLDER, type Share } from '../../src/lib/api';
import { de } from '../../src/i18n/fr/share';
import * as share from '../../src/lib/share';

describe('roles', () => {
  it('are what they allow, and back', () => {
    for (const kind of [FILE, FOLDER]) {
      for (const role of ['view', 'edit', 'manage'] as const) {
        expect(share.roleOf(share.permissionsOf(role, kind), kind)).toBe(role);
      }
    }
    expect(share.permissionsOf('edit', FILE)).toBe(3);
    expect(share.permissionsOf('edit', FOLDER)).toBe(15);
    expect(share.roleOf(17, FOLDER)).toBeNull();
  });
  it('are no more than one has oneself', () => {
    expect(share.rolesFor(17, FOLDER)).toEqual(['view']);
    expect(share.rolesFor(31, FOLDER)).toEqual(['view', 'edit', 'manage']);
    expect(share.linkRolesFor(31, FOLDER)).toEqual(['view', 'edit', 'drop']);
    expect(share.linkRolesFor(19, FILE)).toEqual(['view', 'edit']);
  });
  it('of links', () => {
    for (const role of ['view', 'edit', 'drop'] as const) {
      expect(share.linkRoleOf(share.linkPermissionsOf(role, FOLDER))).toBe(role);
    }
  });
});

describe('days', () => {
  it('end with the school year', () => {
    expect(share.endOfSchoolYear(new Date(2026, 10, 25))).toBe('2027-07-05');
    expect(share.endOfSchoolYear(new Date(2026, 6, 5, 23))).toBe('2026-07-05');
    expect(share.endOfSchoolYear(new Date(2026, 6, 6))).toBe('2027-07-05');
  });
  it('count across the change of clocks', () => {
    expect(share.inDays(7, new Date(2026, 9, 22, 23, 59))).toBe('2026-10-29');
    expect(share.daysLeft('2026-10-29', new Date(2026, 9, 22, 0, 1))).toBe(7);
    expect(share.daysLeft('2026-10-21', new Date(2026, 9, 22))).toBe(-1);
  });
  it('are read as people type them', () => {
    expect(share.readDay('5/7/2027')).toBe('2027-07-05');
    expect(share.readDay(' 05.07.27 ')).toBe('2027-07-05');
    expect(share.readDay('2027-07-05')).toBe('2027-07-05');
    expect(share.readDay('31/2/2027')).toBeNull();
    expect(share.readDay('demain')).toBeNull();
  });
});

it('makes passwords that differ', () => {
  const made = share.makePassword();
  expect(made).toMatch(/^([a-z2-9]{4}-){3}[a-z2-9]{4}$/);
  expect(share.makePassword()).not.toBe(made);
});

it('says how far links reach', () => {
  const link = (permissions: number, last_day: string | null) => ({ kind: 'link', permissions, last_day }) as Share;
  expect(share.reachOf([link(1, '2026-12-01'), link(15, '2026-12-31')])).toMatchObject({ link: 'edit', linkEnd: '2026-12-31' });
  expect(share.reachOf([link(1, '2026-12-01'), link(4, null)])).toMatchObject({ link: 'view', linkEnd: null });
  expect(share.reachOf([])).toEqual({ people: [], groups: [], link: null, linkEnd: null });
});

it('gives the same again', () => {
  const given = { kind: 'person', receiver: { name: 'karim', display_name: 'Karim' }, permissions: 15, may_download: true } as Share;
  const again = share.sameAgain({ ...given, note: 'n', label: '', last_day: null }, '/A');
  expect(again).toMatchObject({ path: '/A', receiver: 'karim', permissions: 15, note: 'n', last_day: null, endless: true });
  expect(share.sameAgain({ ...given, last_day: '2027-07-05' }, '/A').endless).toBe(false);
});

it('elides before a vowel', () => {
  expect(['Camille', 'Olivier', 'Élodie', 'Yann', 'Yvette'].map(de)).toEqual([
    'de Camille',
    'd’Olivier',
    'd’Élodie',
    'de Yann',
    'd’Yvette',
  ]);
});
