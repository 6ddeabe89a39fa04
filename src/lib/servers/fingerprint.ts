/** A fingerprint in groups that two people can read to each other. */
export function grouped(fingerprint: string): string {
	return (
		fingerprint
			.toUpperCase()
			.match(/.{1,4}/g)
			?.join(' ') ?? ''
	);
}
