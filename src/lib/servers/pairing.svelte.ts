/** A pairing link that was opened and not yet looked at. */
export const pairing = $state({ link: '' });
