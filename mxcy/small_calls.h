/* What keeps a kernel call on a few elements at a few dozen nanoseconds. setup.py gives this header to every extension
 * module by -include, and links with --wrap for the names below; elsewhere than on Linux things are only slower.
 *
 * A parallel region of one thread is a plain call. GCC turns `#pragma omp parallel if(threads > 1)` into
 * GOMP_parallel(..., 1) when the condition fails, and libgomp then builds a team of one and wakes it through a system
 * call: 0.5 us. Outside of any region omp_get_num_threads() is 1, so the region's code shares out its work correctly.
 *
 * A kernel leaves the GIL as it is. Cython's prange in a nogil function lets go of the GIL if the thread happens to hold
 * it, and takes it again after the loop: 0.2 us, and a wait wherever other Python threads run. Whether to let go is the
 * caller's decision (see execute in imperative/_execute.pyx): small calls keep the GIL. Kernel modules only. */
#ifndef MXCY_SMALL_CALLS_H
#define MXCY_SMALL_CALLS_H
#ifdef __cplusplus
extern "C" {
#endif
#define MXCY_WRAPPER __attribute__((visibility("hidden"), weak))
void __real_GOMP_parallel(void (*region)(void*), void* data, unsigned threads, unsigned flags);
MXCY_WRAPPER void __wrap_GOMP_parallel(void (*region)(void*), void* data, unsigned threads, unsigned flags) {
    if (threads == 1)
        region(data);
    else
        __real_GOMP_parallel(region, data, threads, flags);
}
MXCY_WRAPPER void* __wrap_PyEval_SaveThread(void) { return 0; }     /* "the GIL was not held": nothing to take again */
#ifdef __cplusplus
}
#endif
#endif
