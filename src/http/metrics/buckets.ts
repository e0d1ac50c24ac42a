/** Bounds of histograms, in seconds. */

/** Of what takes a disk's or a network's time: 0.1 ms to 8 s, each about twice the last (etcd's, and two below). */
export const latencyBuckets: readonly number[] = [
  ...[0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512],
  ...[1.024, 2.048, 4.096, 8.192],
];

/** Of what takes longer the more there is: 10 ms to 11 minutes, each four times the last. */
export const transferBuckets: readonly number[] = [
  ...[0.01, 0.04, 0.16, 0.64, 2.56, 10.24, 40.96, 163.84, 655.36],
];
