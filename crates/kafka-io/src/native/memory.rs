//! Memory that was freed and that the C library keeps.

/// Gives memory back to the system that was freed and lies between what is still used. glibc gives back only what lies at the
/// end of its heaps, and a record that librdkafka has fetched leaves a hole wherever something was kept meanwhile. Takes about
/// a millisecond for each 10 MB in use; elsewhere than with glibc it does nothing.
pub fn return_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: it may be called at any time, from any thread (malloc_trim(3)).
        unsafe { malloc_trim(0) };
    }
}
