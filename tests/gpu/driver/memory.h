/* The memory of all devices, and what of the host's memory and of modules' variables the driver knows. */
#pragma once

#include "calls.h"

#include <map>
#include <optional>

namespace standin {

class Context;

struct Allocation {
    uintptr_t begin;
    size_t nbytes;
    uint64_t number;            // 1, 2, ...: tells it from later ones at the same address
    CUmemorytype type;          // CU_MEMORYTYPE_HOST is page-locked memory
    int device;
    const Context* context;
    unsigned flags;             // given to cuMemHostAlloc
    bool variable;              // of a module: not made by cuMemAlloc
};

/* Memory that an operation will use: it must still be the same allocation when the operation runs. */
struct Use {
    uintptr_t address;
    uint64_t number;
};

/* Device memory is ordinary memory of this process, at an address range of each device that nothing else has. Fresh
 * and freed memory are filled, and behind each allocation lies a guard that nobody should write to. Streams use it
 * besides the calls, so it has a lock of its own.
 */
class Memory {
  public:
    static constexpr unsigned char FRESH = 0xCD, FREED = 0xDD;

    uintptr_t allocate(const Context& context, size_t nbytes);
    void release(uintptr_t begin);                              // throws unless an allocation begins there
    void release_all(const Context* context);

    void adopt(Allocation allocation);                          // memory from elsewhere
    Allocation forget(uintptr_t begin);                         // ... that begins there

    /* What holds all these bytes, if anything does; the address behind the last byte belongs to an allocation, too. */
    std::optional<Allocation> find(uintptr_t address, size_t nbytes = 0) const;

    /* The device in whose range the address lies, allocated or not; -1: in none. */
    int device_at(uintptr_t address) const;

    void check_alive(const Use& use, const char* user) const;   // throws CUDA_ERROR_ILLEGAL_ADDRESS
    void check_guard(const Use& use, const char* user) const;   // the same if something was written behind it

    size_t total(int device) const;
    size_t in_use(int device) const;
    void set_total(int device, size_t nbytes);

  private:
    struct Device {
        uintptr_t begin = 0;
        size_t total = 0, in_use = 0;
    };
    using Allocations = std::map<uintptr_t, Allocation>;

    Device& device(int number) const;
    void release(Allocations::iterator at);
    Allocations::const_iterator holder(uintptr_t address) const;
    Allocations::iterator at(uintptr_t begin);

    mutable std::mutex mutex_;
    Allocations allocations_;
    uint64_t last_ = 0;
};

Memory& memory();

}  // namespace standin
