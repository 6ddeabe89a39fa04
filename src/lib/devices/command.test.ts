import { describe, expect, it } from 'vitest';
import { isLoopback, withAllowances } from './command';

describe('the connect command', () => {
	it('ends with what is allowed', () => {
		expect(withAllowances('foreman-agent connect --token T', ['bash', 'logs'])).toBe(
			'foreman-agent connect --token T --allow bash,logs'
		);
		expect(withAllowances('foreman-agent connect --token T', [])).toBe('foreman-agent connect --token T');
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
