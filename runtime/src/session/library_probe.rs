//! A library of ONNX Runtime is tried in a process of its own first: one that crashes while it is loaded, or when it is asked
//! for its interface, takes that process along and not the program.
//!
//! Only a program can be started again. A library that is part of some other program must not start any: `libmimir_runtime`
//! loads the file that it was told, after its headers were checked.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The first argument of a process that only tries a library; the path of the library is the second and last.
const ARGUMENT: &str = "--try-onnxruntime-library-and-exit";

/// What such a process writes before it touches the library: that it is one.
const BEGUN: &[u8] = b"begun";

/// Its exit code where it came to its end, whatever it found: none that a library ends a process with.
const CAME_TO_ITS_END: u8 = 86;

/// The longest that loading takes, with the library on a slow disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a process that tries a library is asked whether it has ended. All in all it takes some 25 ms.
const PAUSE: Duration = Duration::from_millis(1);

/// Whether this program tries libraries when it is started again.
static STARTS_AGAIN: AtomicBool = AtomicBool::new(false);

/// From now on, this program is started again to try a library before it is loaded.
pub(super) fn start_again_for_libraries() {
    STARTS_AGAIN.store(true, Ordering::Relaxed);
}

/// The library that a process with these arguments was started for.
pub(super) fn library_to_try(arguments: impl IntoIterator<Item = OsString>) -> Option<PathBuf> {
    let mut arguments = arguments.into_iter().skip(1);
    match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(first), Some(library), None) if first == ARGUMENT => Some(library.into()),
        _ => None,
    }
}

/// Tries a library in this process, which was started for it.
pub(super) fn try_here(try_library: impl FnOnce()) -> ExitCode {
    let mut out = std::io::stdout().lock();
    if out.write_all(BEGUN).and_then(|()| out.flush()).is_err() {
        return ExitCode::FAILURE;
    }
    drop(out);
    try_library();
    ExitCode::from(CAME_TO_ITS_END)
}

/// Tries a library in a process of its own, where this program can be started again. What that process finds is found
/// again by this one: only whether it survives counts.
///
/// # Errors
/// How the process ended, in words.
pub(super) fn survive(library: &Path) -> Result<(), String> {
    if !STARTS_AGAIN.load(Ordering::Relaxed) {
        return Ok(());
    }
    // Where no process can be started, as under a limit of processes or files, what is wrong shows itself soon enough.
    let Ok(mut child) = start(library) else { return Ok(()) };
    let mut begun = [0; BEGUN.len()];
    let has_begun = child.stdout.take().is_some_and(|mut out| out.read_exact(&mut begun).is_ok());
    // Nothing is known where this process was told to ignore how its children end.
    let Ok(ended) = wait(&mut child, PATIENCE) else { return Ok(()) };
    // Under an emulator or a debugger that is started in our place, nothing was tried.
    if !has_begun || begun != *BEGUN {
        return Ok(());
    }
    let said = match ended {
        Some(status) if status.code() == Some(i32::from(CAME_TO_ITS_END)) => return Ok(()),
        Some(status) if was_ended_from_outside(status) => return Ok(()),
        Some(status) => format!("ended the process that tried to load it ({status})"),
        None => format!("was still loading after {} seconds", PATIENCE.as_secs()),
    };
    Err(format!("{} {said}: it is damaged, or no ONNX Runtime; install it again", library.display()))
}

/// Whether a process was ended by somebody else, or by a limit that it was given (of file sizes, of processor time): that says
/// nothing of what it loaded, and this process may know what to do about it.
#[cfg(unix)]
fn was_ended_from_outside(status: ExitStatus) -> bool {
    /// Illegal instruction, trap, abort, bus error, arithmetic, segmentation fault, bad system call.
    const FAULTS: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];
    std::os::unix::process::ExitStatusExt::signal(&status).is_some_and(|signal| !FAULTS.contains(&signal))
}

#[cfg(not(unix))]
fn was_ended_from_outside(_status: ExitStatus) -> bool {
    false
}

/// This program, with nothing to do but to try the library. A Ctrl-C is for the program and not for it.
fn start(library: &Path) -> std::io::Result<Child> {
    // The file that this process was made of, even where another lies at its path by now.
    let program = match cfg!(target_os = "linux") {
        true => PathBuf::from("/proc/self/exe"),
        false => std::env::current_exe()?,
    };
    let mut command = Command::new(program);
    command.arg(ARGUMENT).arg(library);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn()
}

/// How a process ended; nothing where it did not and had to be.
fn wait(child: &mut Child, patience: Duration) -> std::io::Result<Option<ExitStatus>> {
    let until = Instant::now() + patience;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(PAUSE);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(arguments: &[&str]) -> Option<PathBuf> {
        library_to_try(["program"].iter().chain(arguments).map(OsString::from))
    }

    #[test]
    fn only_the_very_arguments_ask_for_a_try() {
        let library = "/opt/libonnxruntime.so";
        for arguments in
            [&[][..], &[ARGUMENT], &[library, ARGUMENT], &[ARGUMENT, library, "more"], &["check", library]]
        {
            assert_eq!(asked(arguments), None, "{arguments:?}");
        }
        assert_eq!(asked(&[ARGUMENT, library]), Some(library.into()));
    }

    /// The program of these tests is none that may be started again.
    #[test]
    fn a_program_that_did_not_ask_for_it_is_not_started_again() {
        assert_eq!(survive(Path::new("/nonexistent/libonnxruntime.so")), Ok(()));
    }

    #[cfg(unix)]
    #[test]
    fn only_faults_are_the_librarys() {
        for (command, is_outside) in [
            ("kill -s XFSZ $$", true),
            ("kill -s TERM $$", true),
            ("kill -s KILL $$", true),
            ("kill -s SEGV $$", false),
            ("kill -s ABRT $$", false),
            ("exit 3", false),
        ] {
            let status = Command::new("sh").args(["-c", command]).status().unwrap();
            assert_eq!(was_ended_from_outside(status), is_outside, "{command}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_does_not_end_is_ended() {
        let mut endless = Command::new("sleep").arg("1000").spawn().unwrap();
        assert_eq!(wait(&mut endless, Duration::from_millis(20)).unwrap(), None);
        let killed = std::os::unix::process::ExitStatusExt::signal(&endless.try_wait().unwrap().unwrap());
        assert_eq!(killed, Some(9));
        let mut short = Command::new("true").spawn().unwrap();
        assert!(wait(&mut short, PATIENCE).unwrap().unwrap().success());
    }
}
