/* Which random numbers a call draws. */
#ifndef MXCY_GPU_PHILOX_CUH
#define MXCY_GPU_PHILOX_CUH
#include <cstdint>
#include "mxcy/ops/philox.h"

namespace mxcy {

/* Key and stream of Philox. The arguments of recorded launches stay as they are while each run of a plan has numbers of
   its own: its key and first stream are in memory, and `number` counts from there. */
struct Philox {
    uint64_t key, number;
    const uint64_t* run;                    /* {key, first stream}, or NULL: the arguments are all */

    uint64_t seed() const { return run ? run[0] : key; }
    uint64_t stream() const { return run ? run[1] + number : number; }
};

}  // namespace mxcy

#define MXCY_BEGIN_RUN                                                                                                 \
    extern "C" __global__ void begin_run(uint64_t* run, mxcy::Philox random) {                                         \
        run[0] = random.seed();                                                                                        \
        run[1] = random.stream();                                                                                      \
    }
#endif
