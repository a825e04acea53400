//! How glibc keeps the memory that libtorch gives back.
//!
//! A step on the CPU allocates and frees the same large tensors again and again. By default glibc maps each of them anew and
//! unmaps it at once, and the kernel clears all its pages: a tenth of a step's processor time. libtorch has no settings of its own.

/// Keeps what is freed for the next allocation, until the process ends. Does nothing where the C library is another.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// The manual of mallopt: this value never gives anything back.
        const NEVER: libc::c_int = -1;
        #[expect(unsafe_code, reason = "the standard library has no settings for the C library's allocator")]
        // SAFETY: sets two numbers of the allocator, under its own lock.
        unsafe {
            libc::mallopt(libc::M_MMAP_MAX, 0);
            libc::mallopt(libc::M_TRIM_THRESHOLD, NEVER);
        }
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::path::Path;

    use super::*;

    const BYTES: usize = 32 << 20;

    /// Pages that this thread got from the kernel so far: the tenth field of `stat`, after a name that may hold spaces.
    fn page_faults() -> u64 {
        let stat = mimir_files::read_text(Path::new("/proc/thread-self/stat"), 1 << 12).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().nth(7).unwrap().parse().unwrap()
    }

    /// The least of several turns, because other tests allocate too.
    #[test]
    fn memory_is_used_again() {
        keep_freed_memory();
        let pages = |_| {
            let before = page_faults();
            drop(std::hint::black_box(vec![1_u8; BYTES]));
            page_faults() - before
        };
        let least = (0..20).map(pages).min().unwrap();
        assert!(least < 1000, "{least} pages of 8,192 were new");
    }
}
