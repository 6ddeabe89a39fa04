/**
 * The link that has an app ask for a server, as `client/src/app/address.rs` reads it. `fingerprint`: what its certificate
 * has to be, 64 hexadecimal digits.
 */
export function pairingLink(server: string, fingerprint?: string | null): string {
	const said = [
		`server=${encodeURIComponent(server)}`,
		...(fingerprint ? [`fingerprint=${fingerprint}`] : [])
	];
	return `foreman://pair?${said.join('&')}`;
}
