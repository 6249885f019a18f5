//! Jump consistent hash. (Lamping and Veach, A Fast, Minimal Memory, Consistent Hash Algorithm, 2014)

/// The bucket of `key` among `n`.
pub(in crate::simulate) fn bucket(mut key: u64, n: u32) -> u32 {
    let (mut bucket, mut next) = (0_u32, 0.0_f64);
    while next < f64::from(n) {
        bucket = next as u32;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        next = ((f64::from(bucket) + 1.0) * (f64::from(1_u32 << 31) / ((key >> 33) + 1) as f64)).floor();
    }
    bucket
}
