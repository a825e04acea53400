//! The command `mimir-train`; everything is in the library, so that tests can reach it.

fn main() -> std::process::ExitCode {
    mimir_train::main()
}
