/* What all functions of the stand-in share: results, the lock, counts, injected faults, handles and settings.
 *
 * Settings from the environment, read when they are first needed:
 *   STANDIN_DEVICES      number of devices, 2
 *   STANDIN_MEMORY       bytes of memory of each, 2 GiB
 *   STANDIN_PEERS        whether devices can access each other's memory, 1
 *   STANDIN_VERSION      of the driver, 13000
 *   STANDIN_DELAY_US     a stream waits up to so many microseconds before each operation, 0
 *   STANDIN_SEED         of these delays and of the order in which graphs run, 0
 *   STANDIN_FAIL         faults, as in "cuMemAlloc:3:2,cuLaunchKernel:1:719": function, which call from now on, result
 *   STANDIN_VERBOSE      whether what goes wrong is also written to stderr, 0
 */
#pragma once

#include <cuda.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#define EXPORT extern "C" __attribute__((visibility("default")))
#define API EXPORT CUresult CUDAAPI

namespace standin {

/* Why a call, or an operation that a stream runs, does not succeed. */
struct Failure {
    CUresult code;
    std::string text;
};

[[noreturn, gnu::format(printf, 2, 3)]] void fail(CUresult code, const char* format, ...);

/* Keep it for standin_last_error. */
void record(const Failure& failure);

long setting(const char* name, long fallback);

/* The process is ending: streams stop, and whoever waits for them goes on. */
extern std::atomic<bool> ended;

/* Set in threads that run a function for cuLaunchHostFunc, which must not call the driver. */
extern thread_local bool in_host_function;

/* One call from outside. All run under one lock, which guards everything but the queues of streams and the memory. */
class Call {
  public:
    enum Stage { ANY, INITIALIZED };

    Call(const char* function, Stage stage);    // counts it; throws what was injected

    /* Lets others in while this call waits. */
    struct Pause {
        Pause() { mutex.unlock(); }
        ~Pause() { mutex.lock(); }
    };

    static void initialize();

    static std::mutex& mutex;

  private:
    static std::atomic<bool> initialized;
    std::unique_lock<std::mutex> lock_;
};

CUresult report(const char* function, const Failure& failure);

/* What every exported function is made of. */
template <class Body> CUresult serve(const char* function, Body body, Call::Stage stage = Call::INITIALIZED) {
    try {
        Call call(function, stage);
        body();
        return CUDA_SUCCESS;
    } catch (const Failure& failure) {
        return report(function, failure);
    }
}

template <class T> T& required(T* pointer, const char* name) {
    if (!pointer) fail(CUDA_ERROR_INVALID_VALUE, "%s is NULL", name);
    return *pointer;
}

/* What handles stand for. No number is given out twice, so that a handle that outlives its object is caught. */
template <class Handle, class Thing> class Registry {
  public:
    Handle add(std::shared_ptr<Thing> thing) {
        static std::atomic<uintptr_t> next{first()};
        Handle handle = reinterpret_cast<Handle>(next += 16);
        things_[handle] = std::move(thing);
        return handle;
    }

    std::shared_ptr<Thing> get(Handle handle) const {
        auto found = things_.find(handle);
        if (found == things_.end()) fail(CUDA_ERROR_INVALID_HANDLE, "%p is no %s", (void*)handle, Thing::what);
        return found->second;
    }

    std::shared_ptr<Thing> take(Handle handle) {
        auto thing = get(handle);
        things_.erase(handle);
        return thing;
    }

  private:
    /* A range for each kind of handle, so that one is not taken for the other. */
    static uintptr_t first() {
        static_assert(sizeof(uintptr_t) == 8);
        return uintptr_t(Thing::kind) << 40;
    }

    std::unordered_map<Handle, std::shared_ptr<Thing>> things_;
};

}  // namespace standin
