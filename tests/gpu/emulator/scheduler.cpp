#include "scheduler.h"
#include <cstdio>
#include <cstring>

extern "C" void* __tls_get_addr(void* module_and_offset);

namespace cuda_emulator {

std::string text_of(const char* name, uint3 v) {
    return name + (" (" + std::to_string(v.x)) + ", " + std::to_string(v.y) + ", " + std::to_string(v.z) + ")";
}
std::string text_of(Place place) { return std::string(" (") + place.file + ":" + std::to_string(place.line) + ")"; }

namespace {

const char* const OPERATIONS[] = {"__syncwarp", "__shfl_sync", "__shfl_up_sync", "__shfl_down_sync", "__shfl_xor_sync",
                                  "__ballot_sync", "__any_sync", "__all_sync"};

/* Why a launch with these numbers is not possible; empty if it is. */
std::string wrong_size(const Launch& launch) {
    const dim3 grid = launch.grid, block = launch.block;
    const uint64_t threads = uint64_t(block.x) * block.y * block.z;
    if (!threads || block.x > MOST_THREADS || block.y > MOST_THREADS || block.z > 64 || threads > MOST_THREADS)
        return text_of("a block of", block) + " threads: at most 1024 in all, 64 of them along z, and at least one";
    if (!grid.x || !grid.y || !grid.z || grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535)
        return text_of("a grid of", grid) + " blocks: at most (2147483647, 65535, 65535), and at least one";
    return "";
}

/* What shared memory holds at first is not defined: all ones are NaN, or -1. */
void fill_shared(const Launch& launch) {
    if (launch.shared_bytes) memset(builtins.shared, 0xff, launch.shared_bytes);
    if (launch.static_shared.size) {
        size_t start[] = {launch.static_shared.module, 0};
        memset(__tls_get_addr(start), 0xff, launch.static_shared.size);
    }
}

}

int Scheduler::run(const Launch& what, char* text, size_t room) {
    error = wrong_size(what);
    if (error.empty()) {
        const std::unique_ptr<unsigned char[]> shared(new unsigned char[what.shared_bytes]);
        builtins.block_size = what.block;
        builtins.grid_size = what.grid;
        builtins.shared = shared.get();
        launch = &what;
        arrange();
        blocks = 0;
        begin_block();
        leave(idle_fiber());
        launch = nullptr;
    }
    if (error.empty()) return 0;
    abandon();
    snprintf(text, room, "kernel %s: %s", what.kernel, error.c_str());
    return 1;
}

/* After an error threads may stand anywhere. */
void Scheduler::abandon() {
    idle.clear();
    for (auto& fiber : fibers) {
        fiber->reset();
        idle.push_back(fiber.get());
    }
}

void Scheduler::arrange() {
    const dim3 size = launch->block;
    const Order wanted = wanted_order();
    if (size.x == block.x && size.y == block.y && size.z == block.z && wanted == order) return;
    block = size;
    order = wanted;
    threads.assign(size.x * size.y * size.z, Thread{});
    warps.assign((threads.size() + WARP - 1) / WARP, Warp{});
    sequence.clear();
    for (unsigned i = 0; i < threads.size(); i++) {
        threads[i].index = coordinates(i, size);
        threads[i].number = i;
        threads[i].lane = i % WARP;
        sequence.push_back(&threads[i]);
    }
    put_in_order(sequence, order);
    for (Thread* thread : sequence) warps[thread->number / WARP].threads.push_back(thread);
}

bool Scheduler::begin_block() {
    const uint64_t count = uint64_t(launch->grid.x) * launch->grid.y * launch->grid.z;
    if (blocks == count) return false;
    builtins.block = coordinates(in_order(blocks++, count, order), launch->grid);
    begun = ended = at_barrier = predicates = 0;
    ready.clear();
    for (Warp& warp : warps) warp.ended = warp.waiting = 0;
    if (threads.size() % WARP) warps.back().ended = -1u << threads.size() % WARP;       /* lanes that there are not */
    fill_shared(*launch);
    return true;
}

/* -- threads and fibers ------------------------------------------------------------------------------------------- */

void Scheduler::fiber_main() {
    scheduler->running->arrive();
    for (;;) {
        scheduler->begin_thread();
        scheduler->launch->thread(scheduler->launch->arguments);
        scheduler->end_thread();
    }
}

Fiber& Scheduler::idle_fiber() {
    if (idle.empty()) {
        fibers.push_back(std::make_unique<Fiber>(fiber_main));
        return *fibers.back();
    }
    Fiber* fiber = idle.back();
    idle.pop_back();
    return *fiber;
}

void Scheduler::leave(Fiber& next) {
    Fiber& self = *running;
    running = &next;
    self.switch_to(next);
}

void Scheduler::begin_thread() {
    current = sequence[begun++];
    current->fiber = running;
    builtins.thread = current->index;
    builtins.lane = current->lane;
}

void Scheduler::go_on(Thread& thread) {
    current = &thread;
    builtins.thread = thread.index;
    builtins.lane = thread.lane;
    if (thread.fiber != running) leave(*thread.fiber);
}

/* The current thread waits: others go on until it may. */
void Scheduler::wait() {
    if (!ready.empty()) go_on(ready.pop());
    else if (begun < threads.size()) leave(idle_fiber());
    else fail(deadlock());
}

/* Returns when this fiber shall begin another thread. */
void Scheduler::end_thread() {
    Warp& warp = warps[current->number / WARP];
    warp.ended |= 1u << current->lane;
    ended++;
    if (warp.waiting)
        for (Thread* other : warp.threads)
            if (warp.waiting >> other->lane & 1) release(warp, other->mask, other->operation);
    if (ready.empty()) {
        if (begun < threads.size()) return;
        if (ended < threads.size()) fail(deadlock());
        if (begin_block()) return;
        idle.push_back(running);
        leave(caller);
    } else {
        idle.push_back(running);
        go_on(ready.pop());
    }
}

/* -- waiting ------------------------------------------------------------------------------------------------------ */

unsigned Scheduler::barrier(bool predicate, Place place) {
    current->place = place;
    if (at_barrier && (place.line != barrier_place.line || strcmp(place.file, barrier_place.file)))
        fail("divergent barriers: " + text_of("thread", current->index) + " came to __syncthreads" + text_of(place) +
             ", others wait at" + text_of(barrier_place));
    barrier_place = place;
    predicates += predicate;
    if (++at_barrier == threads.size()) {
        result = predicates;
        at_barrier = predicates = 0;
        for (Thread* thread : sequence) ready.push(thread);
    }
    wait();
    return result;
}

uint64_t Scheduler::warp(WarpOperation operation, unsigned mask, uint64_t value, unsigned source, Place place) {
    Thread& self = *current;
    self.place = place;
    self.operation = operation;
    self.mask = mask;
    self.value = value;
    self.source = source;
    if (!(mask >> self.lane & 1))
        fail(text_of("thread", self.index) + " is not in the mask it gave to " + OPERATIONS[int(operation)] +
             text_of(place));
    Warp& warp = warps[self.number / WARP];
    warp.waiting |= 1u << self.lane;
    release(warp, mask, operation);
    wait();
    return self.result;
}

/* Lets the lanes of a mask go on if all of them wait for this, but for those that have ended. */
void Scheduler::release(Warp& warp, unsigned mask, WarpOperation operation) {
    const unsigned group = mask & ~warp.ended;
    if (!group || (warp.waiting & group) != group) return;
    Thread* lanes[WARP] = {};
    unsigned ballot = 0;
    for (Thread* thread : warp.threads) {
        if (!(group >> thread->lane & 1)) continue;
        if (thread->mask != mask || thread->operation != operation) return;
        lanes[thread->lane] = thread;
        ballot |= unsigned(thread->value != 0) << thread->lane;
    }
    for (Thread* thread : warp.threads) {
        if (!lanes[thread->lane]) continue;
        switch (operation) {
            case WarpOperation::SYNC: break;
            case WarpOperation::BALLOT: thread->result = ballot; break;
            case WarpOperation::ANY: thread->result = ballot != 0; break;
            case WarpOperation::ALL: thread->result = ballot == group; break;
            default: {                                      /* of a lane that takes no part: not defined, NaN or -1 */
                const Thread* source = lanes[thread->source % WARP];
                thread->result = source ? source->value : -1;
            }
        }
        ready.push(thread);
    }
    warp.waiting &= ~group;
}

/* -- errors ------------------------------------------------------------------------------------------------------- */

void Scheduler::note(const std::string& reason) {
    if (launch && error.empty()) error = text_of("block", builtins.block) + ": " + reason;
}

void Scheduler::fail(const std::string& reason) {
    note(reason);
    leave(caller);
    abort();                                                /* nobody goes on with this fiber */
}

/* Where the threads of the block stand when none of them can go on. */
std::string Scheduler::deadlock() const {
    struct Group {
        std::string where;
        const Thread* first;
        unsigned count;
    };
    std::vector<Group> groups;
    for (const Thread& thread : threads) {
        const Warp& warp = warps[thread.number / WARP];
        std::string where = "ended";
        if (warp.waiting >> thread.lane & 1) {
            char mask[32];
            snprintf(mask, sizeof mask, " of mask 0x%08x", thread.mask);
            where = std::string("at ") + OPERATIONS[int(thread.operation)] + mask + text_of(thread.place);
        } else if (!(warp.ended >> thread.lane & 1)) {
            where = "at __syncthreads" + text_of(thread.place);
        }
        auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.where == where; });
        if (group == groups.end()) group = groups.insert(group, {where, &thread, 0});
        group->count++;
    }
    std::string text = "divergent threads, none of which can go on:";
    const char* separator = " ";
    for (const Group& group : groups) {
        text += separator + std::to_string(group.count) + " " + group.where + " from " +
                text_of("thread", group.first->index);
        separator = ", ";
    }
    return text;
}

}
