import type { Me } from '$lib/api/types';

declare global {
	namespace App {
		interface PageData {
			me?: Me;
			title?: string;
		}
	}
}

export {};
