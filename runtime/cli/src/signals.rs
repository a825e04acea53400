//! The signals that interrupt a run: the first one lets it save its state, a second one ends it at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mimir_certify::ErrorKind;

/// Installs the signal handlers and returns the flag that SIGINT (Ctrl-C) and SIGTERM set.
///
/// The run checks the flag and stops in order. A second signal ends the process at once, with the exit code of an
/// interrupted run (on systems other than Unix it only sets the flag again).
///
/// SIGXFSZ is ignored: when a write exceeds the limit on file sizes (`ulimit -f`), the write then returns an error and
/// the run reports it, where the default action of the signal would kill the process.
///
/// # Errors
/// When the operating system refuses to install a handler.
pub(crate) fn watch() -> io::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    watch_for(&interrupted)?;
    Ok(interrupted)
}

/// Sets the flag after so long, too: a time limit interrupts like a signal.
pub(crate) fn limit(interrupted: &Arc<AtomicBool>, time: Duration) {
    let interrupted = Arc::clone(interrupted);
    // It ends with the process: nobody waits for a run that ends before.
    std::thread::spawn(move || {
        std::thread::sleep(time);
        interrupted.store(true, Ordering::Relaxed);
    });
}

#[cfg(unix)]
fn watch_for(interrupted: &Arc<AtomicBool>) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::flag::{register, register_conditional_shutdown};

    for signal in [SIGINT, SIGTERM] {
        // The handlers run in the order of registration. The shutdown handler looks at the flag before it is set, so it
        // does nothing on the first signal and ends the process on the second.
        let code = i32::from(ErrorKind::Interrupted.exit_code());
        register_conditional_shutdown(signal, code, Arc::clone(interrupted))?;
        register(signal, Arc::clone(interrupted))?;
    }
    // Any handler replaces the default action; nobody reads this flag.
    register(SIGXFSZ, Arc::default())?;
    Ok(())
}

#[cfg(not(unix))]
fn watch_for(interrupted: &Arc<AtomicBool>) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};

    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(interrupted))?;
    }
    Ok(())
}
