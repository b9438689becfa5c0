import { expect, it } from 'vitest';
import { agentOf } from '../../src/lib/agent';

it('knows the browsers that people have', () => {
  const webkit = 'AppleWebKit/537.36 (KHTML, like Gecko)';
  expect(agentOf('Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0')).toEqual({
    browser: 'Firefox',
    system: 'Linux',
  });
  expect(agentOf(`Mozilla/5.0 (Windows NT 10.0) ${webkit} Chrome/156.0 Safari/537.36 Edg/156.0`)).toEqual({
    browser: 'Edge',
    system: 'Windows',
  });
  expect(agentOf(`Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) ${webkit} Version/19.0 Mobile Safari/604.1`)).toEqual({
    browser: 'Safari',
    system: 'iPhone',
  });
  expect(agentOf('curl/8')).toEqual({ browser: null, system: null });
});
