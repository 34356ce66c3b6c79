/* A parallel region of one thread is a plain call.
 *
 * GCC turns `#pragma omp parallel if(threads > 1)` into GOMP_parallel(..., 1) when the condition fails, and libgomp then
 * builds a team of one and wakes it through a system call: 0.5 us, five times what a small operator costs. Every
 * extension module is linked with --wrap=GOMP_parallel and gets this header by -include (see setup.py). Outside of any
 * region omp_get_num_threads() is 1, so the region's code shares out its work correctly. */
#ifndef MXCY_SERIAL_OPENMP_H
#define MXCY_SERIAL_OPENMP_H
#ifdef __cplusplus
extern "C" {
#endif
void __real_GOMP_parallel(void (*region)(void*), void* data, unsigned threads, unsigned flags);
__attribute__((visibility("hidden"), weak))
void __wrap_GOMP_parallel(void (*region)(void*), void* data, unsigned threads, unsigned flags) {
    if (threads == 1)
        region(data);
    else
        __real_GOMP_parallel(region, data, threads, flags);
}
#ifdef __cplusplus
}
#endif
#endif
