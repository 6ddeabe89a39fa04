/** What is wrong with a new password before the server is asked. */

export type PasswordFault = 'current' | 'short' | 'long' | 'differs';

const SHORTEST = 10;
const LONGEST = 256;

/** `needsCurrent`: one is set already. Characters are counted as people see them, not in UTF-16 units. */
export function passwordFaults(
	entered: { current: string; fresh: string; repeated: string },
	needsCurrent: boolean
): PasswordFault[] {
	const faults: PasswordFault[] = [];
	if (needsCurrent && entered.current === '') faults.push('current');
	const length = [...entered.fresh].length;
	if (length < SHORTEST) faults.push('short');
	else if (length > LONGEST) faults.push('long');
	else if (entered.fresh !== entered.repeated) faults.push('differs');
	return faults;
}
