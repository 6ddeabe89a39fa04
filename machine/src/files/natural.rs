//! The order of names as people expect it: `file2` before `file10`, capitals beside small letters.

use std::cmp::Ordering;

/// A total order: names that only differ in case or leading zeros are then told apart by their bytes.
pub(super) fn compare(left: &[u8], right: &[u8]) -> Ordering {
    folded(left, right).then_with(|| left.cmp(right))
}

fn folded(mut left: &[u8], mut right: &[u8]) -> Ordering {
    loop {
        let (Some(a), Some(b)) = (left.first(), right.first()) else {
            return left.len().cmp(&right.len());
        };
        if a.is_ascii_digit() && b.is_ascii_digit() {
            let (number, rest) = split_number(left);
            let (other, other_rest) = split_number(right);
            let order = number.len().cmp(&other.len()).then_with(|| number.cmp(other));
            if order != Ordering::Equal {
                return order;
            }
            (left, right) = (rest, other_rest);
            continue;
        }
        match a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase()) {
            Ordering::Equal => (left, right) = (&left[1..], &right[1..]),
            order => return order,
        }
    }
}

/// The digits a name begins with, without leading zeros, and what follows.
fn split_number(name: &[u8]) -> (&[u8], &[u8]) {
    let end = name.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(name.len());
    let (digits, rest) = name.split_at(end);
    let zeros = digits.iter().position(|digit| *digit != b'0').unwrap_or(end);
    (&digits[zeros..], rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_count_and_case_does_not() {
        let mut names =
            ["b", "file10", "File2", "file2", "file02", "A", "file", "99999999999999999999a", "file2b"];
        names.sort_by(|a, b| compare(a.as_bytes(), b.as_bytes()));
        assert_eq!(
            names,
            ["99999999999999999999a", "A", "b", "file", "File2", "file02", "file2", "file2b", "file10"]
        );
    }

    proptest! {
        #[test]
        fn it_is_an_order(a in "[aAb019/~ü]{0,6}", b in "[aAb019/~ü]{0,6}", c in "[aAb019/~ü]{0,6}") {
            let (a, b, c) = (a.as_bytes(), b.as_bytes(), c.as_bytes());
            prop_assert_eq!(compare(a, b), compare(b, a).reverse());
            prop_assert_eq!(compare(a, b) == Ordering::Equal, a == b);
            if compare(a, b) != Ordering::Greater && compare(b, c) != Ordering::Greater {
                prop_assert!(compare(a, c) != Ordering::Greater);
            }
        }
    }
}
