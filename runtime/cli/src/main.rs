//! The command `mimir-certify`; everything is in the library, so that tests can reach it.

fn main() -> std::process::ExitCode {
    mimir_certify_cli::main()
}
