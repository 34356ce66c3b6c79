#include "memory.h"

#include "context.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

namespace standin {

namespace {

constexpr size_t ARENA = size_t(1) << 35;       // address range of a device; its memory is a part of it
constexpr size_t GRAIN = 512;                   // alignment of allocations
constexpr size_t PAGE = 4096;
constexpr unsigned char GUARD = 0xFB;

size_t rounded(size_t nbytes) { return (nbytes + GRAIN - 1) / GRAIN * GRAIN; }

/* What an allocation takes with its guard: at least half a grain, so that an end is in no other allocation. */
size_t extent(size_t nbytes) { return rounded(nbytes + GRAIN / 2); }

uintptr_t reserve() {
    void* at = mmap(nullptr, ARENA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) fail(CUDA_ERROR_OPERATING_SYSTEM, "no address range for a device: %s", strerror(errno));
    return reinterpret_cast<uintptr_t>(at);
}

}  // namespace

Memory& memory() {
    static auto& all = *new Memory;
    return all;
}

Memory::Device& Memory::device(int number) const {
    static auto* devices = new Device[MAX_DEVICES];
    Device& device = devices[number];
    if (!device.begin) {
        device.begin = reserve();
        device.total = setting("STANDIN_MEMORY", 2l << 30);
    }
    return device;
}

uintptr_t Memory::allocate(const Context& context, size_t nbytes) {
    if (!nbytes) fail(CUDA_ERROR_INVALID_VALUE, "an allocation of no bytes");
    std::lock_guard<std::mutex> lock(mutex_);
    Device& device = this->device(context.device);
    if (nbytes > device.total || device.in_use + rounded(nbytes) > device.total)
        fail(CUDA_ERROR_OUT_OF_MEMORY, "%zu bytes asked for, %zu of %zu in use", nbytes, device.in_use, device.total);
    // The first gap that is large enough.
    uintptr_t begin = device.begin;
    for (auto next = allocations_.lower_bound(begin);
         next != allocations_.end() && next->first < begin + extent(nbytes); ++next)
        begin = next->first + extent(next->second.nbytes);
    if (begin + extent(nbytes) > device.begin + ARENA) fail(CUDA_ERROR_OUT_OF_MEMORY, "no address range is left");
    uintptr_t page = begin / PAGE * PAGE;
    if (mprotect(reinterpret_cast<void*>(page), begin + extent(nbytes) - page, PROT_READ | PROT_WRITE))
        fail(CUDA_ERROR_OUT_OF_MEMORY, "the host has no memory for it: %s", strerror(errno));
    auto bytes = reinterpret_cast<unsigned char*>(begin);
    memset(bytes, FRESH, nbytes);
    memset(bytes + nbytes, GUARD, extent(nbytes) - nbytes);
    device.in_use += rounded(nbytes);
    allocations_[begin] = {begin, nbytes, ++last_, CU_MEMORYTYPE_DEVICE, context.device, &context, 0, false};
    return begin;
}

void Memory::release(Allocations::iterator at) {
    const Allocation& allocation = at->second;
    if (allocation.type == CU_MEMORYTYPE_DEVICE && !allocation.variable) {
        memset(reinterpret_cast<void*>(allocation.begin), FREED, allocation.nbytes);
        device(allocation.device).in_use -= rounded(allocation.nbytes);
    }
    allocations_.erase(at);
}

void Memory::release(uintptr_t begin) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = at(begin);
    if (found->second.type != CU_MEMORYTYPE_DEVICE || found->second.variable)
        fail(CUDA_ERROR_INVALID_VALUE, "%#zx was not made by cuMemAlloc", begin);
    release(found);
}

void Memory::release_all(const Context* context) {
    std::lock_guard<std::mutex> lock(mutex_);
    for (auto next = allocations_.begin(); next != allocations_.end();) {
        auto found = next++;
        if (found->second.context == context && found->second.type == CU_MEMORYTYPE_DEVICE) release(found);
    }
}

void Memory::adopt(Allocation allocation) {
    std::lock_guard<std::mutex> lock(mutex_);
    allocation.number = ++last_;
    allocations_[allocation.begin] = allocation;
}

Allocation Memory::forget(uintptr_t begin) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = at(begin);
    Allocation allocation = found->second;
    allocations_.erase(found);
    return allocation;
}

Memory::Allocations::iterator Memory::at(uintptr_t begin) {
    auto found = allocations_.find(begin);
    if (found == allocations_.end()) fail(CUDA_ERROR_INVALID_VALUE, "no allocation begins at %#zx", begin);
    return found;
}

Memory::Allocations::const_iterator Memory::holder(uintptr_t address) const {
    auto after = allocations_.upper_bound(address);
    if (after == allocations_.begin()) return allocations_.end();
    const Allocation& before = std::prev(after)->second;
    return address <= before.begin + before.nbytes ? std::prev(after) : allocations_.end();
}

std::optional<Allocation> Memory::find(uintptr_t address, size_t nbytes) const {
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = holder(address);
    if (found == allocations_.end()) return std::nullopt;
    const Allocation& allocation = found->second;
    if (nbytes > allocation.begin + allocation.nbytes - address) return std::nullopt;
    return allocation;
}

int Memory::device_at(uintptr_t address) const {
    std::lock_guard<std::mutex> lock(mutex_);
    for (int number = 0; number < device_count(); number++) {
        uintptr_t begin = device(number).begin;
        if (address >= begin && address < begin + ARENA) return number;
    }
    return -1;
}

void Memory::check_alive(const Use& use, const char* user) const {
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = holder(use.address);
    if (found == allocations_.end() || found->second.number != use.number)
        fail(CUDA_ERROR_ILLEGAL_ADDRESS, "%s was given memory at %#zx that was freed before it ran", user, use.address);
}

void Memory::check_guard(const Use& use, const char* user) const {
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = holder(use.address);
    if (found == allocations_.end()) return;        // it was freed meanwhile
    const Allocation& allocation = found->second;
    if (allocation.number != use.number || allocation.type != CU_MEMORYTYPE_DEVICE || allocation.variable) return;
    auto bytes = reinterpret_cast<const unsigned char*>(allocation.begin);
    for (size_t i = allocation.nbytes; i < extent(allocation.nbytes); i++)
        if (bytes[i] != GUARD)
            fail(CUDA_ERROR_ILLEGAL_ADDRESS, "byte %zu of an allocation of %zu bytes was written when %s had run", i,
                 allocation.nbytes, user);
}

size_t Memory::total(int number) const {
    std::lock_guard<std::mutex> lock(mutex_);
    return device(number).total;
}

size_t Memory::in_use(int number) const {
    std::lock_guard<std::mutex> lock(mutex_);
    return device(number).in_use;
}

void Memory::set_total(int number, size_t nbytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    device(number).total = nbytes;
}

}  // namespace standin
