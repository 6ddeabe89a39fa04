//! NVIDIA GPUs as `nvidia-smi` reports them in its loop, one line a GPU at each interval.

use std::time::Duration;

use foreman_protocol::GpuSample;
use tokio::process::Command;

use super::{reporter::Reporter, system::plausible};
use crate::probe::{Places, number};

const QUERY: &str = "--query-gpu=index,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw";
const MIB: f64 = 1024.0 * 1024.0;
/// No machine has more; a stray index must not grow the list.
const MOST_GPUS: usize = 64;

/// `None` when the tool is not installed.
pub(super) fn report(places: &Places, interval: Duration) -> Option<Reporter<Vec<GpuSample>>> {
    let program = places.find("nvidia-smi")?;
    let seconds = interval.as_secs().max(1).to_string();
    let command = move || {
        let mut command = Command::new(&program);
        command.args([QUERY, "--format=csv,noheader,nounits", "-l", &seconds]);
        command
    };
    Some(Reporter::start(interval, command, take))
}

fn take(gpus: &mut Vec<GpuSample>, line: &str) -> bool {
    let Some(row) = parse(line) else { return false };
    match gpus.binary_search_by_key(&row.index, |gpu| gpu.index) {
        Ok(place) => gpus[place] = row,
        Err(place) if gpus.len() < MOST_GPUS => gpus.insert(place, row),
        Err(_) => return false,
    }
    true
}

/// `[N/A]` leaves a field empty: unified memory tells no size, a laptop no power.
pub(super) fn parse(line: &str) -> Option<GpuSample> {
    let mut fields = line.split(',').map(str::trim);
    let index = fields.next()?.parse().ok()?;
    let [load, used, total, celsius, power] = std::array::from_fn(|_| fields.next());
    let bytes = |field: Option<&str>| {
        field.and_then(number).filter(|mib| *mib >= 0.0).map(|mib| (f64::from(mib) * MIB) as u64)
    };
    // The last field marks a whole row; anything shorter is a message that happens to begin with a number.
    power?;
    Some(GpuSample {
        index,
        utilization_percent: load.and_then(number).filter(|load| (0.0..=100.0).contains(load)),
        memory_used: bytes(used),
        memory_total: bytes(total),
        celsius: celsius.and_then(number).filter(|celsius| plausible(*celsius)),
        power_w: power.and_then(number).filter(|watt| *watt >= 0.0),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &str) -> Vec<GpuSample> {
        let mut gpus = Vec::new();
        for line in text.lines() {
            take(&mut gpus, line);
        }
        gpus
    }

    #[test]
    fn each_gpu_has_its_newest_row() {
        let text = include_str!("../../tests/fixtures/h100/nvidia-smi-loop.csv");
        let gpus = all(&format!("{text}0, 12, 1, 81559, 40, 99.9\n"));
        assert_eq!(gpus.len(), 2);
        assert_eq!(gpus[0].utilization_percent, Some(12.0));
        assert_eq!(gpus[1].memory_total, Some(81_559 * 1024 * 1024));
        assert_eq!(gpus[1].celsius, Some(34.0));
    }

    #[test]
    fn what_is_not_available_is_left_out() {
        let gb10 = all(include_str!("../../tests/fixtures/gb10/nvidia-smi-loop.csv"));
        assert_eq!((gb10[0].memory_used, gb10[0].memory_total), (None, None));
        assert_eq!(gb10[0].utilization_percent, Some(96.0));
        let laptop = all(include_str!("../../tests/fixtures/laptop/nvidia-smi-loop.csv"));
        assert_eq!(laptop[0].power_w, None);
        assert_eq!(laptop[0].memory_used, Some(17 * 1024 * 1024));
    }

    #[test]
    fn messages_are_not_rows() {
        assert!(all("Unable to determine the device handle for GPU0: Unknown Error\n0\n0, 1\n").is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            all(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn any_row_keeps_the_list_sorted_and_short(rows in prop::collection::vec("[0-9]{1,4},[0-9e.-]{0,9},[0-9e.+-]{0,9},x,inf,NaN", 0..90)) {
            let gpus = all(&rows.join("\n"));
            prop_assert!(gpus.len() <= MOST_GPUS);
            prop_assert!(gpus.is_sorted_by_key(|gpu| gpu.index));
        }
    }
}
