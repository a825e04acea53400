//! The most memory that this process has had.

use std::path::Path;
use std::process::Command;

use tch::Device;

/// In bytes, since its start. On a GPU what the process holds there: libtorch gives none back, so that it is
/// the most that it has needed. `None` where it cannot be known.
pub(super) fn peak(device: Device) -> Option<u64> {
    if device.is_cuda() {
        let own = std::process::id().to_string();
        let lines = nvidia_smi(&["--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"])?;
        let mine = lines.lines().find_map(|line| {
            let (process, mebibytes) = line.split_once(", ")?;
            (process == own).then(|| mebibytes.trim().parse::<u64>().ok())?
        })?;
        return Some(mine << 20);
    }
    let status = mimir_files::read_text(Path::new("/proc/self/status"), 1 << 20).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// What NVIDIA's tool prints, without headers.
pub(super) fn nvidia_smi(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("nvidia-smi");
    command.args(arguments);
    if !arguments.iter().any(|argument| argument.starts_with("--format")) {
        command.arg("--format=csv,noheader");
    }
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_that_is_used_is_seen() {
        let before = peak(Device::Cpu).unwrap();
        let filled = vec![1_u8; 1 << 28];
        let after = peak(Device::Cpu).unwrap();
        assert!(after >= before && after >= filled.len() as u64 / 2, "{before} {after} {}", filled[7]);
    }
}
