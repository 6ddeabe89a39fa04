import { describe, expect, it } from 'vitest';
import { connectWith, installWith, isLoopback } from './command';

describe('the connect command', () => {
	it('says what is allowed', () => {
		expect(connectWith('FOREMAN_TOKEN=T foreman-agent connect', ['bash', 'logs'])).toBe(
			'FOREMAN_TOKEN=T foreman-agent connect --allow bash,logs'
		);
		expect(installWith('curl http://f/install-agent.sh | FOREMAN_TOKEN=T sh', ['bash', 'logs'])).toBe(
			'curl http://f/install-agent.sh | FOREMAN_ALLOW=bash,logs FOREMAN_TOKEN=T sh'
		);
	});

	it('says what the dashboard may do, unless it is the usual', () => {
		expect(connectWith('c', ['read'], 'view')).toBe('c --allow read --dashboard view');
		expect(connectWith('c', [], 'none')).toBe('c --dashboard none');
		expect(connectWith('c', [], 'operate')).toBe('c');
		expect(installWith('FOREMAN_TOKEN=T sh', [], 'none')).toBe('FOREMAN_DASHBOARD=none FOREMAN_TOKEN=T sh');
	});

	it('names the owner that the device trusts from the start', () => {
		expect(connectWith('c', ['read'], 'view', 'KEY')).toBe('c --allow read --dashboard view --owner KEY');
		expect(installWith('FOREMAN_TOKEN=T sh', ['read'], 'operate', 'KEY')).toBe(
			'FOREMAN_ALLOW=read FOREMAN_OWNER=KEY FOREMAN_TOKEN=T sh'
		);
	});

	it('says nothing when nothing is allowed', () => {
		expect(connectWith('c', [])).toBe('c');
		expect(installWith('FOREMAN_TOKEN=T sh', [])).toBe('FOREMAN_TOKEN=T sh');
	});
});

describe('isLoopback', () => {
	it('knows the addresses nobody else can reach', () => {
		for (const here of [
			'http://127.0.0.1:3001',
			'http://localhost:3001',
			'http://[::1]:3001',
			'http://127.8.0.1'
		]) {
			expect(isLoopback(here), here).toBe(true);
		}
		for (const there of [
			'http://192.168.1.4:3001',
			'https://foreman.example',
			'http://127.example.org',
			'nonsense'
		]) {
			expect(isLoopback(there), there).toBe(false);
		}
	});
});
